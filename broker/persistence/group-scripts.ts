/**
 * Groups of shared subscriptions (MQTT 5 §4.8.2), as parts of the scripts of sessions and queues. A group is named
 * `$` and a digest of `<share name>/<filter>`, and is kept as a session is: with a subscription, a queue and an end.
 * A message for it goes into the queue of one member that is connected, in turn, as `<name>$<digest>`; into the
 * group's own queue only while none is. Keys, after the organization's prefix:
 *
 *     shares              set: the groups there are
 *     members:<group>     sorted set: session id by its turn; +inf while it is not connected
 *     places:<group>      hash: session id to its replica, with `!` when it ends with its connection; '' counts turns
 *     groups:<id>         set: shared filters of a session
 */

/** Wants `endOf`. `looks`: whose queue was put something into. */
export const picking = `
local looks = {}
local function looking()
  local ids = {}
  for id in pairs(looks) do ids[#ids + 1] = id end
  return ids
end
local function isGroup(id) return string.sub(id, 1, 1) == '$' end
local function groupOf(shared) return '$' .. redis.sha1hex(string.sub(shared, 8)) end
local function sharedOf(id) return redis.call('SMEMBERS', prefix .. 'groups:' .. id) end
local function turn(group) return redis.call('HINCRBY', prefix .. 'places:' .. group, '', 1) end
local function pick(group)
  local members = prefix .. 'members:' .. group
  while true do
    local id = redis.call('ZRANGEBYSCORE', members, '-inf', '(+inf', 'LIMIT', 0, 1)[1]
    if not id then return nil end
    if endOf(id) then
      redis.call('ZADD', members, turn(group), id)
      return id
    end
    redis.call('ZADD', members, '+inf', id)
  end
end
local function store(id, number, name, body)
  local queue, bodies = prefix .. 'queue:' .. id, prefix .. 'bodies:' .. id
  local isFirst = redis.call('EXISTS', queue) == 0
  redis.call('ZADD', queue, 'NX', number, name)
  redis.call('HSET', bodies, name, body)
  local ends = isFirst and endOf(id)
  if ends then
    redis.call('PEXPIREAT', queue, whole(ends))
    redis.call('PEXPIREAT', bodies, whole(ends))
  end
end
`

/** Wants `picking`, `changed` and `keepUntil`. */
export const membership = `
local function settleGroup(group, ends)
  if tonumber(redis.call('ZSCORE', prefix .. 'sessions', group) or '0') >= ends then return end
  redis.call('ZADD', prefix .. 'sessions', whole(ends), group)
  for _, part in ipairs({ 'session:', 'queue:', 'bodies:', 'members:', 'places:' }) do
    redis.call('PEXPIREAT', prefix .. part .. group, whole(ends))
  end
  keepUntil(prefix .. 'shares', ends)
end
local function wipeGroup(group)
  for _, part in ipairs({ 'session:', 'queue:', 'bodies:', 'members:', 'places:' }) do
    redis.call('UNLINK', prefix .. part .. group)
  end
  redis.call('ZREM', prefix .. 'sessions', group)
  redis.call('SREM', prefix .. 'shares', group)
  return changed(group, 'end', '')
end
local function arrive(id, group, place)
  redis.call('ZADD', prefix .. 'members:' .. group, turn(group), id)
  redis.call('HSET', prefix .. 'places:' .. group, id, place)
end
local function join(id, shared, place)
  local group = groupOf(shared)
  redis.call('SADD', prefix .. 'groups:' .. id, shared)
  arrive(id, group, place)
  if redis.call('SADD', prefix .. 'shares', group) == 0 then return end
  local filter = string.match(shared, '^%$share/[^/]*/(.*)$')
  redis.call('HSET', prefix .. 'session:' .. group, '', '0', filter, '{"qos":2}')
  changed(group, 'add', cjson.encode({ { topic = filter, qos = 2 } }))
end
-- How a member leaves: 'away' from its connection, 'unsubscribed', or 'gone' with its session. What it was not sent
-- yet goes to another member, and of QoS 1 what it has not acknowledged [MQTT-4.8.2-5].
local function mayKeep(how, sent, isExactlyOnce, hasOthers)
  if how == 'unsubscribed' then return sent end
  return sent and (isExactlyOnce or (how == 'away' and not hasOthers))
end
local function handOver(id, group, how)
  local queue, bodies, marks = prefix .. 'queue:' .. id, prefix .. 'bodies:' .. id, prefix .. 'sent:' .. id
  local members = prefix .. 'members:' .. group
  local hasOthers = redis.call('ZCOUNT', members, '-inf', '(+inf') > 0
  local left = redis.call('ZCARD', members) > 0
  local held = redis.call('ZRANGE', queue, 0, -1, 'WITHSCORES')
  for at = 1, #held, 2 do
    local name = held[at]
    if string.sub(name, -#group) == group then
      local body = redis.call('HGET', bodies, name)
      local isExactlyOnce = not body or string.byte(body, 2) % 4 == 2
      if not mayKeep(how, redis.call('HEXISTS', marks, name) == 1, isExactlyOnce, hasOthers) then
        redis.call('ZREM', queue, name)
        redis.call('HDEL', bodies, name)
        redis.call('HDEL', marks, name)
        local other = pick(group)
        if other then looks[other] = true end
        if other or left then store(other or group, held[at + 1], name, body) end
      end
    end
  end
end
local function leave(id, group, how)
  local members = prefix .. 'members:' .. group
  if not redis.call('ZSCORE', members, id) then return end
  redis.call('HDEL', prefix .. 'places:' .. group, id)
  if how == 'away' then redis.call('ZADD', members, '+inf', id) else redis.call('ZREM', members, id) end
  handOver(id, group, how)
  if redis.call('ZCARD', members) == 0 then wipeGroup(group) end
end
local function leaveAll(id, how)
  for _, shared in ipairs(sharedOf(id)) do leave(id, groupOf(shared), how) end
end
`
