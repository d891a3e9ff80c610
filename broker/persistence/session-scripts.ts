import { membership, picking } from './group-scripts.ts'
import { luaScript } from './lua-script.ts'
import { numbersPerMs } from '#core/stores/session-directory.ts'

/**
 * Keys of an organization, after its prefix:
 *
 *     sessions            sorted set: session id by the ms at which it ends
 *     session-ids         sorted set, by bytes: session id; groups are not among them
 *     session:<id>        hash: filter to subscription; under '' the epoch of the last opening, see `session-mark.ts`
 *     queue:<id>          sorted set: names of messages by their order of arrival
 *     bodies:<id>         hash: name to message
 *     sent:<id>           hash: name to packet id, with an `r` once only PUBREL is left
 *     incoming:<id>       set: packet ids of QoS 2 messages that wait for PUBREL
 *     revision, changes   number and stream of the last changes of subscriptions, for the other replicas
 *     sequence            order of arrival, of openings too
 *
 * Those of groups of shared subscriptions stand in `group-scripts.ts`; `looks` are members to be told.
 *
 * What belongs to a session ends by itself when it does. The others last an hour longer than the last session:
 * replicas that serve the organization have to find those that have ended, and tell each other.
 */
const sessions = `
local hour = 3600000
local parts = { 'session:', 'queue:', 'bodies:', 'sent:', 'incoming:', 'groups:' }
local function endOf(id)
  local ends = tonumber(redis.call('ZSCORE', prefix .. 'sessions', id) or '0')
  return ends > now and ends or nil
end
local function changed(id, kind, value)
  local revision = redis.call('INCR', prefix .. 'revision')
  redis.call('XADD', prefix .. 'changes', 'MAXLEN', '~', 1000, revision .. '-0', 'id', id, 'kind', kind, 'value', value)
  for _, part in ipairs({ 'revision', 'changes' }) do keepUntil(prefix .. part, now + hour) end
  return revision
end
${picking}${membership}
local function settle(id, ends)
  for _, part in ipairs(parts) do redis.call('PEXPIREAT', prefix .. part .. id, whole(ends)) end
  for _, shared in ipairs(sharedOf(id)) do settleGroup(groupOf(shared), ends) end
end
local function prolong(id, ends)
  redis.call('ZADD', prefix .. 'sessions', whole(ends), id)
  settle(id, ends)
  for _, part in ipairs({ 'sessions', 'session-ids', 'revision', 'changes', 'sequence' }) do
    keepUntil(prefix .. part, ends + hour)
  end
end
local function wipe(id)
  if isGroup(id) then return wipeGroup(id) end
  leaveAll(id, 'gone')
  for _, part in ipairs(parts) do redis.call('UNLINK', prefix .. part .. id) end
  redis.call('ZREM', prefix .. 'sessions', id)
  redis.call('ZREM', prefix .. 'session-ids', id)
  return changed(id, 'end', '')
end
local function epochOf(id) return redis.call('HGET', prefix .. 'session:' .. id, '') end
local function noSession() return redis.error_reply('NOSESSION the session has ended') end
`

/**
 * id, clean, ms until it ends, place, uid, provider, 1 when a former one of another uid is somebody else's → revision
 * of the end of a former one, present, epoch, subscriptions, incoming, sent, looks
 */
export const openSession = luaScript(`${sessions}
local id, clean, ms = ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local present = endOf(id) ~= nil
local ended = 0
if ARGV[8] == '1' and not clean then
  local former = string.match(epochOf(id) or '', '^%d+ (%S+)')
  clean = former ~= nil and former ~= ARGV[6]
end
if (clean or not present) and redis.call('ZSCORE', prefix .. 'sessions', id) then ended = wipe(id) end
present = present and not clean
local last = tonumber(redis.call('GET', prefix .. 'sequence') or '0')
local number = whole(math.max(last + 1, now * ${numbersPerMs}))
redis.call('SET', prefix .. 'sequence', number, 'KEEPTTL')
local epoch = number .. ' ' .. ARGV[6] .. ' ' .. ARGV[7]
redis.call('HSET', prefix .. 'session:' .. id, '', epoch)
redis.call('ZADD', prefix .. 'session-ids', 0, id)
if present then
  for _, shared in ipairs(sharedOf(id)) do arrive(id, groupOf(shared), ARGV[5]) end
end
prolong(id, now + ms)
return { ended, present and 1 or 0, epoch,
  redis.call('HGETALL', prefix .. 'session:' .. id),
  redis.call('SMEMBERS', prefix .. 'incoming:' .. id),
  redis.call('HGETALL', prefix .. 'sent:' .. id),
  looking() }`)

/** id, epoch, ms → revision of its end, or 0, and looks */
export const closeSession = luaScript(`${sessions}
local id, epoch, ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
if epochOf(id) ~= epoch then return { 0, {} } end
local ended = 0
if ms <= 0 then
  ended = wipe(id)
else
  leaveAll(id, 'away')
  prolong(id, now + ms)
end
return { ended, looking() }`)

/** id, epoch of the opening that is meant, or '' → revision of its end, or 0, and looks */
export const endSession = luaScript(`${sessions}
if not redis.call('ZSCORE', prefix .. 'sessions', ARGV[2]) then return { 0, {} } end
if ARGV[3] ~= '' and epochOf(ARGV[2]) ~= ARGV[3] then return { 0, {} } end
local ended = wipe(ARGV[2])
return { ended, looking() }`)

/** where ids begin and end, as ZRANGEBYLEX takes them, count → (id, epoch)* */
export const findSessions = luaScript(`
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYLEX', prefix .. 'session-ids', ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('HGET', prefix .. 'session:' .. id, '') or ''
end
return answer`)

/** (id, epoch, ms)*: connections that are still there */
export const renewSessions = luaScript(`${sessions}
for at = 2, #ARGV, 3 do
  local id = ARGV[at]
  if endOf(id) and epochOf(id) == ARGV[at + 1] then
    prolong(id, now + tonumber(ARGV[at + 2]))
  end
end
return 0`)

/** most → (id, revision)* of sessions that have ended, and looks */
export const sweepSessions = luaScript(`${sessions}
local ended = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'sessions', '-inf', whole(now), 'LIMIT', 0, ARGV[2])) do
  ended[#ended + 1] = id
  ended[#ended + 1] = wipe(id)
end
return { ended, looking() }`)

/** id, place, all of it as one text, (filter, subscription)* → revision */
export const addSubscriptions = luaScript(`${sessions}
local id = ARGV[2]
local ends = endOf(id)
if not ends then return noSession() end
redis.call('HSET', prefix .. 'session:' .. id, unpack(ARGV, 5))
for at = 5, #ARGV, 2 do
  if string.sub(ARGV[at], 1, 7) == '$share/' then join(id, ARGV[at], ARGV[3]) end
end
settle(id, ends)
local revision = changed(id, 'add', ARGV[4])
for _, part in ipairs({ 'revision', 'changes' }) do keepUntil(prefix .. part, ends + hour) end
return revision`)

/** id, all of it as one text, filter* → revision, or 0 when there was none of them, and looks */
export const removeSubscriptions = luaScript(`${sessions}
local id = ARGV[2]
if redis.call('HDEL', prefix .. 'session:' .. id, unpack(ARGV, 4)) == 0 then return { 0, {} } end
for at = 4, #ARGV do
  if redis.call('SREM', prefix .. 'groups:' .. id, ARGV[at]) == 1 then leave(id, groupOf(ARGV[at]), 'unsubscribed') end
end
local revision = changed(id, 'remove', ARGV[3])
return { revision, looking() }`)

/** id, epoch, place: its connection is there after all → 1, or 0 when the session is another's or has ended */
export const returnToGroups = luaScript(`${sessions}
local id = ARGV[2]
if not endOf(id) or epochOf(id) ~= ARGV[3] then return 0 end
for _, shared in ipairs(sharedOf(id)) do arrive(id, groupOf(shared), ARGV[4]) end
return 1`)

/** replica that is gone → (id, revision)* of sessions that have ended with it; all members that are there */
export const leaveForReplica = luaScript(`${sessions}
local ended = {}
for _, group in ipairs(redis.call('SMEMBERS', prefix .. 'shares')) do
  local places = redis.call('HGETALL', prefix .. 'places:' .. group)
  for at = 1, #places, 2 do
    local id, place = places[at], places[at + 1]
    if place == ARGV[2] then leave(id, group, 'away')
    elseif place == ARGV[2] .. '!' then
      ended[#ended + 1] = id
      ended[#ended + 1] = wipe(id)
    elseif id ~= '' then looks[id] = true
    end
  end
end
return { ended, looking() }`)

/** id, packet id */
export const storeIncoming = luaScript(`${sessions}
local id = ARGV[2]
local ends = endOf(id)
if not ends then return noSession() end
redis.call('SADD', prefix .. 'incoming:' .. id, ARGV[3])
redis.call('PEXPIREAT', prefix .. 'incoming:' .. id, whole(ends))
return 0`)
