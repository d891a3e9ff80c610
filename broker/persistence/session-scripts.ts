import { luaScript } from './lua-script.ts'

/**
 * Keys of an organization, after its prefix:
 *
 *     sessions            sorted set: session id by the ms at which it ends
 *     session:<id>        hash: filter to subscription; under '' the epoch of the last opening
 *     queue:<id>          sorted set: names of messages by their order of arrival
 *     bodies:<id>         hash: name to message, as it lies in `queuedBody`
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

/** most, (name, message, count, (id, QoS)*count)* → revision, dropped, id* of sessions that have ended */
export const enqueue = luaScript(`${sessions}
local most = tonumber(ARGV[2])
local answer = { tonumber(redis.call('GET', prefix .. 'revision') or '0'), 0 }
local function put(id, name, body, sequence)
  local ends = endOf(id)
  if not ends then
    answer[#answer + 1] = id
    return
  end
  local queue = prefix .. 'queue:' .. id
  local waiting = redis.call('ZCARD', queue)
  if waiting >= most then
    answer[2] = answer[2] + 1
  elseif redis.call('ZADD', queue, 'NX', sequence, name) == 1 then
    redis.call('HSET', prefix .. 'bodies:' .. id, name, body)
    if waiting == 0 then
      redis.call('PEXPIREAT', queue, whole(ends))
      redis.call('PEXPIREAT', prefix .. 'bodies:' .. id, whole(ends))
    end
  end
end
local at = 3
while at < #ARGV do
  local name, message, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local sequence = redis.call('INCR', prefix .. 'sequence')
  local bodies = {}
  for index = at + 3, at + 2 + count * 2, 2 do
    local qos = ARGV[index + 1]
    bodies[qos] = bodies[qos] or struct.pack('>dB', now, tonumber(qos)) .. message
    put(ARGV[index], name, bodies[qos], sequence)
  end
  at = at + 3 + count * 2
end
return answer`)

/** As for `enqueue`: none of these messages is in these queues any more. */
export const takeBack = luaScript(`
local at = 3
while at < #ARGV do
  local name, count = ARGV[at], tonumber(ARGV[at + 2])
  for index = at + 3, at + 2 + count * 2, 2 do
    redis.call('ZREM', prefix .. 'queue:' .. ARGV[index], name)
    for _, part in ipairs({ 'bodies:', 'sent:' }) do redis.call('HDEL', prefix .. part .. ARGV[index], name) end
  end
  at = at + 3 + count * 2
end
return 0`)

/** id, after, count, bytes → now, next, is last, (name, sent, body)* */
export const readQueue = luaScript(`
local id, count, most = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local names = redis.call('ZRANGEBYSCORE', prefix .. 'queue:' .. id, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, count)
local answer = { whole(now), ARGV[3], #names < count * 2 and 1 or 0 }
local bytes = 0
for at = 1, #names, 2 do
  local body = redis.call('HGET', prefix .. 'bodies:' .. id, names[at]) or ''
  bytes = bytes + #body
  if bytes > most and at > 1 then
    answer[3] = 0
    break
  end
  answer[2] = names[at + 1]
  answer[#answer + 1] = names[at]
  answer[#answer + 1] = redis.call('HGET', prefix .. 'sent:' .. id, names[at]) or ''
  answer[#answer + 1] = body
end
return answer`)

/** id, (kind, name, packet id)* */
export const applySteps = luaScript(`${sessions}
local id = ARGV[2]
local queue, bodies, sent = prefix .. 'queue:' .. id, prefix .. 'bodies:' .. id, prefix .. 'sent:' .. id
local fresh = redis.call('EXISTS', sent) == 0
for at = 3, #ARGV, 3 do
  local kind, name = ARGV[at], ARGV[at + 1]
  if kind == 'done' then
    redis.call('ZREM', queue, name)
    redis.call('HDEL', bodies, name)
    redis.call('HDEL', sent, name)
  elseif redis.call('ZSCORE', queue, name) then
    if kind == 'received' then redis.call('HDEL', bodies, name) end
    redis.call('HSET', sent, name, ARGV[at + 2] .. (kind == 'received' and 'r' or ''))
  end
end
local ends = fresh and endOf(id)
if ends then redis.call('PEXPIREAT', sent, whole(ends)) end
return 0`)

/** id, packet id */
export const storeIncoming = luaScript(`${sessions}
local id = ARGV[2]
local ends = endOf(id)
if not ends then return noSession() end
redis.call('SADD', prefix .. 'incoming:' .. id, ARGV[3])
redis.call('PEXPIREAT', prefix .. 'incoming:' .. id, whole(ends))
return 0`)
