import { luaScript } from './lua-script.ts'

/**
 * Retained messages of an organization, after its prefix:
 *
 *     retained           hash: topic to the ms at which it was stored and the message
 *     retained-index     sorted set, by bytes: entries of topics
 *     retained-expiry    sorted set: topics by the ms at which their message is over
 *
 * An entry of a topic of n levels is one rotation of them, NUL between two:
 *
 *     root:'$'|'-' levels:u16(n - 1) slot:u8 level(start) .. level(n) level(1) .. level(start - 1)
 *
 * so all topics of n levels that have the literals of a filter stand in a row, wherever its wildcards are, as long
 * as they stand together: `a/+/b` looks behind `b a`. NUL is in no topic and sorts before everything. Slots 0 to 6
 * start at these levels, slot 7 at the last one: a topic of many levels has no more than eight entries. A wildcard
 * at the first level reaches no topic below `$` [MQTT-4.7.2-1]: those have a root of their own.
 */
const entries = `
local retained, index, expiry = prefix .. 'retained', prefix .. 'retained-index', prefix .. 'retained-expiry'
local slots = 8
local function levelsOf(topic)
  local levels = {}
  for level in (topic .. '/'):gmatch('([^/]*)/') do levels[#levels + 1] = level end
  return levels
end
local function rootOf(level) return level:sub(1, 1) == '$' and '$' or '-' end
local function headOf(root, count, slot) return root .. struct.pack('>HB', count - 1, slot) end
-- The level that entries of this slot start with, counted from 1.
local function startOf(count, slot) return slot == slots - 1 and count or slot + 1 end
`

/** topic, message ('' removes), most, seconds until it is over ('' never) → stored or not */
export const storeRetained = luaScript(`${entries}
local topic, message = ARGV[2], ARGV[3]
local function entriesOf(topic)
  local levels = levelsOf(topic)
  local count, all = #levels, {}
  local root, twice = rootOf(topic), {}
  for at = 0, count * 2 - 1 do twice[at + 1] = levels[at % count + 1] end
  for slot = 0, math.min(count, slots) - 1 do
    local start = startOf(count, slot)
    all[#all + 1] = headOf(root, count, slot) .. table.concat(twice, '\\0', start, start + count - 1)
  end
  return all
end
local function remove(topic)
  if redis.call('HDEL', retained, topic) == 0 then return end
  redis.call('ZREM', index, unpack(entriesOf(topic)))
  redis.call('ZREM', expiry, topic)
end
if message == '' then
  remove(topic)
  return 1
end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', whole(now), 'LIMIT', 0, 100)) do remove(old) end
if redis.call('HEXISTS', retained, topic) == 0 and redis.call('HLEN', retained) >= tonumber(ARGV[4]) then return 0 end
if redis.call('HSET', retained, topic, struct.pack('>d', now) .. message) == 1 then
  local scored = {}
  for _, entry in ipairs(entriesOf(topic)) do
    scored[#scored + 1] = 0
    scored[#scored + 1] = entry
  end
  redis.call('ZADD', index, unpack(scored))
end
if ARGV[5] == '' then
  redis.call('ZREM', expiry, topic)
else
  redis.call('ZADD', expiry, whole(now + tonumber(ARGV[5]) * 1000), topic)
end
return 1`)

/**
 * from ('' is the beginning), cost, bytes, level* of the filter → now, where to go on ('' is the end), message*
 *
 * Goes through the entries of the slot that has the fewest, for one number of levels after the other. `cost` is
 * about what may be looked at, in hundredths of a microsecond.
 */
export const findRetained = luaScript(`${entries}
local from, left, leftBytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local filter, answer = {}, { whole(now), '' }
for at = 5, #ARGV do filter[at - 4] = ARGV[at] end
local isOpen = filter[#filter] == '#'
if isOpen then filter[#filter] = nil end
local root, hasPlus = rootOf(filter[1] or ''), false
for _, level in ipairs(filter) do hasPlus = hasPlus or level == '+' end

local function isLiteral(at) return filter[at] and filter[at] ~= '+' end
local function add(topic)
  local body = redis.call('HGET', retained, topic)
  if not body then return end
  answer[#answer + 1] = body
  leftBytes = leftBytes - #body
  left = left - 200 - #topic
end

-- What entries of this slot begin with when they may match, and what they are all before.
local function rangeOf(count, slot)
  local start, run = startOf(count, slot), {}
  for step = 0, count - 1 do
    local at = (start + step - 1) % count + 1
    if not isLiteral(at) then break end
    run[#run + 1] = filter[at]
  end
  local head = headOf(root, count, slot)
  if #run == 0 then return '[' .. head, '(' .. headOf(root, count, slot + 1) end
  local text = head .. table.concat(run, '\\0')
  return '[' .. text .. '\\0', '(' .. text .. '\\1'
end
-- Of those at which literals begin the one with the fewest entries.
local function slotFor(count)
  if not hasPlus then return 0 end
  local candidates = {}
  for slot = 0, math.min(count, slots) - 1 do
    local start = startOf(count, slot)
    local begins = not isLiteral((start - 2) % count + 1) or start > slots
    if isLiteral(start) and begins then candidates[#candidates + 1] = slot end
  end
  local best, fewest = candidates[1] or 0, nil
  if #candidates < 2 then return best end
  for _, slot in ipairs(candidates) do
    local number = redis.call('ZLEXCOUNT', index, rangeOf(count, slot))
    if not fewest or number < fewest then best, fewest = slot, number end
  end
  return best
end
-- Of the levels in an entry; captures where the first level of the topic stands.
local function patternOf(count, slot)
  if not hasPlus then return '()' end
  local start, parts = startOf(count, slot), {}
  for step = 0, count - 1 do
    local at = (start + step - 1) % count + 1
    local text = isLiteral(at) and filter[at]:gsub('[%^%$%(%)%%%.%[%]%*%+%-%?]', '%%%0') or '[^%z]*'
    parts[#parts + 1] = (at == 1 and '()' or '') .. text
  end
  return '^' .. table.concat(parts, '%z') .. '$'
end
local function topicOf(entry, at)
  local topic = entry:sub(at)
  if at > 5 then topic = topic .. '/' .. entry:sub(5, at - 2) end
  return (topic:gsub('%z', '/'))
end
-- Returns where to go on, or nil at the end.
local function walk(count, slot, after)
  local low, high = rangeOf(count, slot)
  if after then low = '(' .. after end
  local pattern
  repeat
    local found = redis.call('ZRANGEBYLEX', index, low, high, 'LIMIT', 0, 50)
    for _, entry in ipairs(found) do
      pattern = pattern or patternOf(count, slot)
      left = left - 30 - #entry
      local at = entry:match(pattern, 5)
      if at then add(topicOf(entry, at)) end
      if left <= 0 or leftBytes <= 0 then return entry end
    end
    low = '(' .. (found[#found] or '')
  until #found < 50
end
local function nextCount(count)
  local low, high = '[' .. headOf(root, count, 0), '(' .. string.char(root:byte() + 1)
  local entry = redis.call('ZRANGEBYLEX', index, low, high, 'LIMIT', 0, 1)[1]
  return entry and struct.unpack('>H', entry, 2) + 1
end

if not hasPlus and #filter > 0 and from == '' then add(table.concat(filter, '/')) end
if not hasPlus and not isOpen then return answer end
local count, slot, after
if from ~= '' then
  count, slot, after = struct.unpack('>H', from, 2) + 1, from:byte(4), from
elseif isOpen then
  count = nextCount(hasPlus and #filter or #filter + 1)
else
  count = #filter
end
while count do
  local stopped = walk(count, slot or slotFor(count), after)
  if stopped then
    answer[2] = stopped
    return answer
  end
  slot, after = nil, nil
  count = isOpen and nextCount(count + 1)
end
return answer`)
