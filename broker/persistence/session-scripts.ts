import { luaScript } from './lua-script.ts'

/**
 * Keys of an organization, after its prefix:
 *
 *     sessions            sorted set: session id by the ms at which it ends
 *     session:<id>        hash: filter to subscription; under '' the epoch of the last opening
 *     queue:<id>          sorted set: names of messages by their order of arrival
 *     bodies:<id>         hash: name to message
 *     sent:<id>           hash: name to packet id, with an `r` once only PUBREL is left
 *     incoming:<id>       set: packet ids of QoS 2 messages that wait for PUBREL
 *     revision, changes   number and stream of the last changes of subscriptions, for the other replicas
 *     sequence            order of arrival; also the source of epochs
 *
 * What belongs to a session ends by itself when it does. The others last an hour longer than the last session:
 * replicas that serve the organization have to find those that have ended, and tell each other.
 */
const sessions = `
local hour = 3600000
local parts = { 'session:', 'queue:', 'bodies:', 'sent:', 'incoming:' }
local function settle(id, ends)
  for _, part in ipairs(parts) do redis.call('PEXPIREAT', prefix .. part .. id, whole(ends)) end
end
local function prolong(id, ends)
  redis.call('ZADD', prefix .. 'sessions', whole(ends), id)
  settle(id, ends)
  for _, part in ipairs({ 'sessions', 'revision', 'changes', 'sequence' }) do
    keepUntil(prefix .. part, ends + hour)
  end
end
local function changed(id, kind, value)
  local revision = redis.call('INCR', prefix .. 'revision')
  redis.call('XADD', prefix .. 'changes', 'MAXLEN', '~', 1000, revision .. '-0', 'id', id, 'kind', kind, 'value', value)
  for _, part in ipairs({ 'revision', 'changes' }) do keepUntil(prefix .. part, now + hour) end
  return revision
end
local function wipe(id)
  for _, part in ipairs(parts) do redis.call('UNLINK', prefix .. part .. id) end
  redis.call('ZREM', prefix .. 'sessions', id)
  return changed(id, 'end', '')
end
local function endOf(id)
  local ends = tonumber(redis.call('ZSCORE', prefix .. 'sessions', id) or '0')
  return ends > now and ends or nil
end
local function noSession() return redis.error_reply('NOSESSION the session has ended') end
`

/** id, clean, ms until it ends → revision of the end of a former one, present, epoch, subscriptions, incoming, sent */
export const openSession = luaScript(`${sessions}
local id, clean, ms = ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local present = endOf(id) ~= nil
local ended = 0
if (clean or not present) and redis.call('ZSCORE', prefix .. 'sessions', id) then ended = wipe(id) end
present = present and not clean
local epoch = redis.call('INCR', prefix .. 'sequence')
redis.call('HSET', prefix .. 'session:' .. id, '', epoch)
prolong(id, now + ms)
return { ended, present and 1 or 0, epoch,
  redis.call('HGETALL', prefix .. 'session:' .. id),
  redis.call('SMEMBERS', prefix .. 'incoming:' .. id),
  redis.call('HGETALL', prefix .. 'sent:' .. id) }`)

/** id, epoch, ms → revision of its end, or 0 */
export const closeSession = luaScript(`${sessions}
local id, epoch, ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', prefix .. 'session:' .. id, '') ~= epoch then return 0 end
if ms <= 0 then return wipe(id) end
prolong(id, now + ms)
return 0`)

/** id → revision of its end, or 0 */
export const endSession = luaScript(`${sessions}
if not redis.call('ZSCORE', prefix .. 'sessions', ARGV[2]) then return 0 end
return wipe(ARGV[2])`)

/** (id, epoch, ms)*: connections that are still there */
export const renewSessions = luaScript(`${sessions}
for at = 2, #ARGV, 3 do
  local id = ARGV[at]
  if endOf(id) and redis.call('HGET', prefix .. 'session:' .. id, '') == ARGV[at + 1] then
    prolong(id, now + tonumber(ARGV[at + 2]))
  end
end
return 0`)

/** most → (id, revision)* of sessions that have ended */
export const sweepSessions = luaScript(`${sessions}
local ended = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'sessions', '-inf', whole(now), 'LIMIT', 0, ARGV[2])) do
  ended[#ended + 1] = id
  ended[#ended + 1] = wipe(id)
end
return ended`)

/** id, all of it as one text, (filter, subscription)* → revision */
export const addSubscriptions = luaScript(`${sessions}
local id = ARGV[2]
local ends = endOf(id)
if not ends then return noSession() end
redis.call('HSET', prefix .. 'session:' .. id, unpack(ARGV, 4))
local revision = changed(id, 'add', ARGV[3])
for _, part in ipairs({ 'revision', 'changes' }) do keepUntil(prefix .. part, ends + hour) end
return revision`)

/** id, all of it as one text, filter* → revision, or 0 when there was none of them */
export const removeSubscriptions = luaScript(`${sessions}
local id = ARGV[2]
if redis.call('HDEL', prefix .. 'session:' .. id, unpack(ARGV, 4)) == 0 then return 0 end
return changed(id, 'remove', ARGV[3])`)

/** id, packet id */
export const storeIncoming = luaScript(`${sessions}
local id = ARGV[2]
local ends = endOf(id)
if not ends then return noSession() end
redis.call('SADD', prefix .. 'incoming:' .. id, ARGV[3])
redis.call('PEXPIREAT', prefix .. 'incoming:' .. id, whole(ends))
return 0`)
