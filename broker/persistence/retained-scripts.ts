import { luaScript } from './lua-script.ts'

/**
 * Retained messages of an organization, after its prefix:
 *
 *     retained           hash: topic to message, as `retainedBody` has it
 *     retained-topics    sorted set, by bytes: topics with NUL between their levels
 *     retained-expiry    sorted set: topics by the ms at which their message is over
 *
 * NUL is in no topic and sorts before everything, so all topics below one stand in a row right after it, and
 * those that a filter can not match are stepped over with one seek.
 */

/** topic, the same with NUL, message ('' removes), most, seconds until it is over ('' never) → stored or not */
export const storeRetained = luaScript(`
local topic, member, message = ARGV[2], ARGV[3], ARGV[4]
local retained, topics, expiry = prefix .. 'retained', prefix .. 'retained-topics', prefix .. 'retained-expiry'
local function remove(topic, member)
  redis.call('HDEL', retained, topic)
  redis.call('ZREM', topics, member)
  redis.call('ZREM', expiry, topic)
end
if message == '' then
  remove(topic, member)
  return 1
end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', whole(now), 'LIMIT', 0, 100)) do
  remove(old, (old:gsub('/', '\\0')))
end
if redis.call('HEXISTS', retained, topic) == 0 and redis.call('HLEN', retained) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', retained, topic, struct.pack('>d', now) .. message)
redis.call('ZADD', topics, 0, member)
if ARGV[6] == '' then
  redis.call('ZREM', expiry, topic)
else
  redis.call('ZADD', expiry, whole(now + tonumber(ARGV[6]) * 1000), topic)
end
return 1`)

/**
 * from ('' is the beginning), steps, bytes, level* of the filter → now, where to go on ('' is the end), message*
 *
 * Walks the topics by seeking: each topic either matches, or says where the next one that may match begins.
 */
export const findRetained = luaScript(`
local retained, topics = prefix .. 'retained', prefix .. 'retained-topics'
local from, steps, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local filter = { unpack(ARGV, 5) }
local answer, bytes = { whole(now), '' }, 0

local function levelsOf(member)
  local levels = {}
  for level in (member .. '\\0'):gmatch('([^%z]*)%z') do levels[#levels + 1] = level end
  return levels
end
-- Lua compares by locale, Redis by bytes.
local function isBefore(left, right)
  for at = 1, math.min(#left, #right) do
    local l, r = left:byte(at), right:byte(at)
    if l ~= r then return l < r end
  end
  return #left < #right
end
-- The levels of the filter from this one on that are no wildcard.
local function literals(at)
  local text = ''
  while filter[at] and filter[at] ~= '+' and filter[at] ~= '#' do
    text = text .. '\\0' .. filter[at]
    at = at + 1
  end
  return text
end
local function join(levels, last) return table.concat(levels, '\\0', 1, last) end
-- Behind everything below the nearest + before this level; nil when there is none.
local function behindPlus(levels, at)
  for level = at, 1, -1 do
    if filter[level] == '+' then return '[' .. join(levels, level) .. '\\1' end
  end
end
-- Whether it matches, and where the next that may match begins.
local function look(member)
  local levels = levelsOf(member)
  local isWild = filter[1] == '+' or filter[1] == '#'
  if isWild and member:sub(1, 1) == '$' then return false, '[%' end
  for at, wanted in ipairs(filter) do
    local given = levels[at]
    if wanted == '#' then return true, '(' .. member end
    if given == nil then
      local rest = literals(at)
      return false, rest == '' and '(' .. member or '[' .. member .. rest
    end
    if wanted ~= '+' and wanted ~= given then
      if isBefore(given, wanted) then
        local head = at > 1 and join(levels, at - 1) .. '\\0' or ''
        return false, '[' .. head .. literals(at):sub(2)
      end
      return false, behindPlus(levels, at - 1)
    end
  end
  return #levels == #filter, behindPlus(levels, #filter)
end

if from == '' then
  local start = literals(1):sub(2)
  from = start == '' and '-' or '[' .. start
end
while from and steps > 0 and bytes < most do
  steps = steps - 1
  local member = redis.call('ZRANGEBYLEX', topics, from, '+', 'LIMIT', 0, 1)[1]
  if not member then
    from = nil
  else
    local isMatch, nextFrom = look(member)
    from = nextFrom
    if isMatch then
      local body = redis.call('HGET', retained, (member:gsub('%z', '/')))
      if body then
        answer[#answer + 1] = body
        bytes = bytes + #body
      end
    end
  end
end
answer[2] = from or ''
return answer`)
