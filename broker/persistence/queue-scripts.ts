import { numbersPerMs } from '#core/stores/session-directory.ts'
import { picking } from './group-scripts.ts'
import { luaScript } from './lua-script.ts'

/**
 * Queues of sessions; `session-scripts.ts` has their keys. Names and messages of many at a time go from the arguments to
 * Redis as they stand there, which is most of what a message costs.
 */
const endOf = `
local function endOf(id)
  local ends = tonumber(redis.call('ZSCORE', prefix .. 'sessions', id) or '0')
  return ends > now and ends or nil
end
`

/**
 * most, how many messages, (messages, sessions, (name, message)*, id*)* → revision, dropped, id* of sessions that
 * have ended, id* of members of groups that were given something
 */
export const enqueue = luaScript(`${endOf}${picking}
local most, total = tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, ended = { tonumber(redis.call('GET', prefix .. 'revision') or '0'), 0 }, {}
local function share(group, first, numbered)
  for at = 1, #numbered, 2 do
    local member = pick(group)
    if redis.call('ZCARD', prefix .. 'queue:' .. (member or group)) >= most then
      answer[2] = answer[2] + 1
    else
      store(member or group, numbered[at], numbered[at + 1] .. group, ARGV[first + at])
      if member then looks[member] = true end
    end
  end
end
local function put(id, first, numbered)
  local ends = endOf(id)
  if not ends then
    ended[#ended + 1] = id
    return
  end
  if isGroup(id) then return share(id, first, numbered) end
  local queue, bodies = prefix .. 'queue:' .. id, prefix .. 'bodies:' .. id
  local waiting = redis.call('ZCARD', queue)
  local fitting = math.max(0, math.min(#numbered, (most - waiting) * 2))
  answer[2] = answer[2] + (#numbered - fitting) / 2
  if fitting == 0 then return end
  redis.call('ZADD', queue, 'NX', unpack(numbered, 1, fitting))
  redis.call('HSET', bodies, unpack(ARGV, first, first + fitting - 1))
  if waiting == 0 then
    redis.call('PEXPIREAT', queue, whole(ends))
    redis.call('PEXPIREAT', bodies, whole(ends))
  end
end
local last = tonumber(redis.call('GET', prefix .. 'sequence') or '0')
local number = math.max(last + 1, now * ${numbersPerMs})
redis.call('SET', prefix .. 'sequence', whole(number + total - 1), 'KEEPTTL')
if last == 0 then keepUntil(prefix .. 'sequence', now + 3600000) end
local at = 4
while at < #ARGV do
  local first = at + 2
  local ids = first + tonumber(ARGV[at]) * 2
  local behind = ids + tonumber(ARGV[at + 1])
  local numbered = {}
  for index = first, ids - 1, 2 do
    numbered[#numbered + 1] = whole(number)
    numbered[#numbered + 1] = ARGV[index]
    number = number + 1
  end
  for index = ids, behind - 1 do put(ARGV[index], first, numbered) end
  at = behind
end
answer[3], answer[4] = ended, looking()
return answer`)

/** As for `enqueue`: none of these messages is in these queues any more. */
export const takeBack = luaScript(`
local function remove(id, names)
  redis.call('ZREM', prefix .. 'queue:' .. id, unpack(names))
  for _, part in ipairs({ 'bodies:', 'sent:' }) do redis.call('HDEL', prefix .. part .. id, unpack(names)) end
end
local function removeShared(group, names)
  local shared = {}
  for index, name in ipairs(names) do shared[index] = name .. group end
  for _, id in ipairs(redis.call('ZRANGE', prefix .. 'members:' .. group, 0, -1)) do remove(id, shared) end
  remove(group, shared)
end
local at = 4
while at < #ARGV do
  local ids = at + 2 + tonumber(ARGV[at]) * 2
  local behind = ids + tonumber(ARGV[at + 1])
  local names = {}
  for index = at + 2, ids - 1, 2 do names[#names + 1] = ARGV[index] end
  for index = ids, behind - 1 do
    local id = ARGV[index]
    if string.sub(id, 1, 1) == '$' then removeShared(id, names) else remove(id, names) end
  end
  at = behind
end
return 0`)

/**
 * id, after, count, bytes → now, next, is last, (name, number, sent, message)*. Behind the last of its own a member
 * takes what waits for its groups.
 */
export const readQueue = luaScript(`${endOf}${picking}
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
  answer[#answer + 1] = names[at + 1]
  answer[#answer + 1] = redis.call('HGET', prefix .. 'sent:' .. id, names[at]) or ''
  answer[#answer + 1] = body
end
local function take(group, room)
  local waiting = redis.call('ZRANGE', prefix .. 'queue:' .. group, 0, room - 1, 'WITHSCORES')
  for at = 1, #waiting, 2 do
    local name, number = waiting[at], waiting[at + 1]
    local body = redis.call('HGET', prefix .. 'bodies:' .. group, name) or ''
    bytes = bytes + #body
    if bytes > most and #answer > 3 then return room end
    redis.call('ZREM', prefix .. 'queue:' .. group, name)
    redis.call('HDEL', prefix .. 'bodies:' .. group, name)
    store(id, number, name, body)
    if tonumber(number) > tonumber(answer[2]) then answer[2] = number end
    for _, part in ipairs({ name, number, '', body }) do answer[#answer + 1] = part end
  end
  return #waiting / 2
end
if answer[3] == 1 then
  local room = count - #names / 2
  for _, shared in ipairs(sharedOf(id)) do
    if room > 0 then room = room - take(groupOf(shared), room) end
  end
  if room <= 0 then answer[3] = 0 end
end
return answer`)

/**
 * group* → (id, place)*: whose turn it is, or '' where none is connected. For QoS 0, which no queue holds.
 */
export const takeTurns = luaScript(`${endOf}${picking}
local answer = {}
for at = 2, #ARGV do
  local id = pick(ARGV[at])
  answer[#answer + 1] = id or ''
  answer[#answer + 1] = id and redis.call('HGET', prefix .. 'places:' .. ARGV[at], id) or ''
end
return answer`)

/**
 * (id, marked, of these released, done, (name, packet id)*, name*)*: packet ids of what was sent, with an `r` of
 * what was released, the released ones last; then names of what is done.
 */
export const applySteps = luaScript(`${endOf}
local function mark(id, names, first, released)
  local scores = redis.call('ZMSCORE', prefix .. 'queue:' .. id, unpack(names))
  local marks, bodies = {}, {}
  for index, name in ipairs(names) do
    if scores[index] then
      marks[#marks + 1] = name
      marks[#marks + 1] = ARGV[first + index * 2 - 1]
      if index > #names - released then bodies[#bodies + 1] = name end
    end
  end
  if #bodies > 0 then redis.call('HDEL', prefix .. 'bodies:' .. id, unpack(bodies)) end
  if #marks == 0 then return end
  local sent = prefix .. 'sent:' .. id
  local ends = redis.call('EXISTS', sent) == 0 and endOf(id)
  redis.call('HSET', sent, unpack(marks))
  if ends then redis.call('PEXPIREAT', sent, whole(ends)) end
end
local at = 2
while at < #ARGV do
  local id, first = ARGV[at], at + 4
  local done = first + tonumber(ARGV[at + 1]) * 2
  local behind = done + tonumber(ARGV[at + 3])
  if done > first then
    local names = {}
    for index = first, done - 1, 2 do names[#names + 1] = ARGV[index] end
    mark(id, names, first, tonumber(ARGV[at + 2]))
  end
  if behind > done then
    redis.call('ZREM', prefix .. 'queue:' .. id, unpack(ARGV, done, behind - 1))
    redis.call('HDEL', prefix .. 'bodies:' .. id, unpack(ARGV, done, behind - 1))
    redis.call('HDEL', prefix .. 'sent:' .. id, unpack(ARGV, done, behind - 1))
  end
  at = behind
end
return 0`)
