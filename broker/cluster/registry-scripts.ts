import { redisScript } from '#core/stores/redis-script.ts'

/**
 * KEYS are, in this order:
 *
 *     owners   hash: id to `<epoch> <replica>`, or `<epoch> -` while only its will is left
 *     wills    hash: `<epoch> <id>` to `<attempts> <delay ms> <replica> <will>`
 *     due      sorted set: `<epoch> <id>` of wills to publish, by when, in ms
 *     sessions sorted set: ids of stored sessions
 *     counts   hash: principal to how many of its ids are connected; '' to how many there are
 *     about    hash: id to what is told of its connection
 *     ids      sorted set, by bytes: ids that are connected
 *
 * A will with attempts was handed out: its time in `due` is when it is handed out again. One whose replica is `~` waits
 * because its replica has gone: it is dropped when the id is taken again.
 */
const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
local function partsOf(will) return will:match('^(%d+) (%d+) (%S+) (.*)$') end
local function handOut(field, will, replica, claimMs)
  local attempts, delay, _, record = partsOf(will)
  attempts = whole(tonumber(attempts) + 1)
  redis.call('HSET', KEYS[2], field, attempts .. ' ' .. delay .. ' ' .. replica .. ' ' .. record)
  redis.call('ZADD', KEYS[3], whole(now + claimMs), field)
  return {field, attempts, record}
end
local function drop(field)
  redis.call('HDEL', KEYS[2], field)
  redis.call('ZREM', KEYS[3], field)
end
local function epochOf(id)
  local owner = redis.call('HGET', KEYS[1], id)
  return owner and owner:match('^%d+')
end
local function isConnected(owner) return owner and owner:sub(-2) ~= ' -' end
local function count(id, change)
  for _, field in ipairs({ '', id:match('^[^/]*') }) do
    if redis.call('HINCRBY', KEYS[5], field, change) <= 0 then redis.call('HDEL', KEYS[5], field) end
  end
end
local function give(id, owner)
  local former = redis.call('HGET', KEYS[1], id)
  if owner then redis.call('HSET', KEYS[1], id, owner) else redis.call('HDEL', KEYS[1], id) end
  if isConnected(owner) and not isConnected(former) then
    count(id, 1)
    redis.call('ZADD', KEYS[7], 0, id)
  end
  if isConnected(former) and not isConnected(owner) then
    count(id, -1)
    redis.call('ZREM', KEYS[7], id)
    redis.call('HDEL', KEYS[6], id)
  end
end
`

const script = (body: string): ReturnType<typeof redisScript> => redisScript(prelude + body)

/** Where records of these types lie is said in this order, then where the barriers do. */
export const sharedRecords = ['organization', 'user', 'access-list'] as const

/**
 * replica, claimMs, where the shared records and the barriers lie, and as JSON what comes and goes:
 *
 *     [[[id, epoch, longest delay or '' for a will that is not published, shortest delay or '']*],
 *      [[id, clean start, delay, will, most connections of the organization and of the principal or '', about,
 *        [[type, name, version]*]]*]]
 *
 * Who goes does so first. Answers in the same two lists: of who went, 0 or `{due, {field, attempts, will}?}`; of who came,
 * `{epoch, 1 when it may have a stored session, 1 when another replica has its former connection, {field, attempts,
 * will}?}` or why nothing was taken. Of a credential the name is its key. What others write is named among the values:
 * keys have to be writable where Redis has users. One value for all: what is said apart costs both ends more than the
 * script does.
 */
export const comeAndGo = script(`
local function leaveAs(id, epoch, longest, shortest)
  local field = epoch .. ' ' .. id
  local isOwner = epochOf(id) == epoch
  local will = redis.call('HGET', KEYS[2], field)
  local attempts, delay, _, record
  if will then attempts, delay, _, record = partsOf(will) end
  if attempts == '0' and longest ~= '' then
    local stored = delay
    delay = math.min(tonumber(delay), longest)
    if shortest ~= '' then
      delay = math.max(delay, shortest)
      if delay > 0 then redis.call('HSET', KEYS[2], field, '0 ' .. stored .. ' ~ ' .. record) end
    end
    if delay > 0 then
      redis.call('ZADD', KEYS[3], whole(now + delay), field)
      if isOwner then give(id, epoch .. ' -') end
      return {whole(now + delay), {}}
    end
    if isOwner then give(id, false) end
    return {'', handOut(field, will, ARGV[1], ARGV[2])}
  end
  if attempts == '0' then drop(field) end
  if isOwner then give(id, false) end
  return 0
end
local versions = {}
local function versionOf(type, name)
  if type == 'credential' then
    local text = redis.call('GET', name)
    return text and redis.sha1hex(text) or ''
  end
  local known = versions[type .. ' ' .. name]
  if known then return known end
  local places = { organization = 3, user = 4, ['access-list'] = 5 }
  local text = redis.call('HGET', ARGV[places[type]], name)
  versions[type .. ' ' .. name] = text and redis.sha1hex(text) or ''
  return versions[type .. ' ' .. name]
end
local function holds(type, name, version)
  if type ~= 'barrier' then return versionOf(type, name) == version end
  local raised = redis.call('ZSCORE', ARGV[6], name)
  return not raised or tonumber(raised) < tonumber(version)
end
local function fullFor(id, owner, most, mostOfPrincipal)
  if isConnected(owner) then return nil end
  local function reaches(field, limit)
    return limit ~= '' and tonumber(redis.call('HGET', KEYS[5], field) or '0') >= limit
  end
  if reaches('', most) then return 'organization-full' end
  return reaches(id:match('^[^/]*'), mostOfPrincipal) and 'principal-full' or nil
end
local function arriveAs(id, owner, isClean, delay, will, about)
  local epoch = time[1] * 1000000 + time[2]
  local former = owner and owner:match('^%d+')
  local handedOut = {}
  if former then
    if tonumber(former) >= epoch then epoch = tonumber(former) + 1 end
    local field = former .. ' ' .. id
    local formerWill = redis.call('HGET', KEYS[2], field)
    local attempts, formerDelay, holder
    if formerWill then attempts, formerDelay, holder = partsOf(formerWill) end
    if attempts == '0' then
      if holder == '~' or (formerDelay ~= '0' and not isClean) then drop(field)
      else handedOut = handOut(field, formerWill, ARGV[1], ARGV[2]) end
    end
  end
  epoch = whole(epoch)
  give(id, epoch .. ' ' .. ARGV[1])
  redis.call('HSET', KEYS[6], id, about)
  if will ~= '' then
    redis.call('HSET', KEYS[2], epoch .. ' ' .. id, '0 ' .. whole(delay) .. ' ' .. ARGV[1] .. ' ' .. will)
  end
  local isElsewhere = isConnected(owner) and owner ~= former .. ' ' .. ARGV[1]
  return {epoch, redis.call('ZSCORE', KEYS[4], id) and 1 or 0, isElsewhere and 1 or 0, handedOut}
end
local departures, arrivals = unpack(cjson.decode(ARGV[7]))
local gone, came = {}, {}
for _, departure in ipairs(departures) do gone[#gone + 1] = leaveAs(unpack(departure)) end
for _, arrival in ipairs(arrivals) do
  local id, isClean, delay, will, most, mostOfPrincipal, about, basis = unpack(arrival)
  local owner = redis.call('HGET', KEYS[1], id)
  local reason = fullFor(id, owner, most, mostOfPrincipal)
  for _, record in ipairs(basis) do
    if not holds(unpack(record)) then reason = 'records-changed' end
  end
  came[#came + 1] = reason or arriveAs(id, owner, isClean, delay, will, about)
end
return {gone, came}`)

/** id, epoch, replica, delay, will, about: 0 when there is a later claim */
export const confirm = script(`
local known = epochOf(ARGV[1])
if known and tonumber(known) > tonumber(ARGV[2]) then return 0 end
give(ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('HSET', KEYS[6], ARGV[1], ARGV[6])
if ARGV[5] ~= '' then
  local field = ARGV[2] .. ' ' .. ARGV[1]
  local will = redis.call('HGET', KEYS[2], field)
  if not will then
    redis.call('HSET', KEYS[2], field, '0 ' .. ARGV[4] .. ' ' .. ARGV[3] .. ' ' .. ARGV[5])
  elseif partsOf(will) == '0' then
    redis.call('ZREM', KEYS[3], field)
  end
end
return 1`)

/** id, epoch, about: told of the connection from now on */
export const tell = script(`
if epochOf(ARGV[1]) == ARGV[2] and isConnected(redis.call('HGET', KEYS[1], ARGV[1])) then
  redis.call('HSET', KEYS[6], ARGV[1], ARGV[3])
end
return 1`)

/** replica, claimMs, how many: `{when to look again or '', how many wills there are, {field, attempts, will}...}` */
export const takeDue = script(`
local fields = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(now), 'LIMIT', 0, ARGV[3])
local handedOut = {}
for _, field in ipairs(fields) do
  local will = redis.call('HGET', KEYS[2], field)
  if not will then redis.call('ZREM', KEYS[3], field)
  elseif not partsOf(will) then drop(field)
  else handedOut[#handedOut + 1] = handOut(field, will, ARGV[1], ARGV[2]) end
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {first[2] or '', redis.call('HLEN', KEYS[2]), unpack(handedOut)}`)

/** id, epoch */
export const settle = script(`
drop(ARGV[2] .. ' ' .. ARGV[1])
if epochOf(ARGV[1]) == ARGV[2] then give(ARGV[1], false) end
return 1`)

/** replica that is gone, field...: makes its wills due; the earliest time, or '' */
export const orphan = script(`
local earliest = ''
for index = 2, #ARGV do
  local field = ARGV[index]
  local will = redis.call('HGET', KEYS[2], field)
  local attempts, delay, replica
  if will then attempts, delay, replica = partsOf(will) end
  if replica == ARGV[1] then
    local at = redis.call('ZSCORE', KEYS[3], field)
    -- Handed out to one that is gone: nobody is publishing it.
    if attempts ~= '0' then at = false; delay = 0 end
    if not at then
      at = whole(now + delay)
      redis.call('ZADD', KEYS[3], at, field)
    end
    if earliest == '' or tonumber(at) < tonumber(earliest) then earliest = at end
  end
end
return earliest`)

/** replica that is gone, id...: forgets that it has them; where a will waits for its time, all but that */
export const disown = script(`
for index = 2, #ARGV do
  local owner = redis.call('HGET', KEYS[1], ARGV[index])
  local epoch, replica
  if owner then epoch, replica = owner:match('^(%d+) (%S+)$') end
  if replica == ARGV[1] then
    local hasWill = redis.call('HEXISTS', KEYS[2], epoch .. ' ' .. ARGV[index]) == 1
    give(ARGV[index], hasWill and epoch .. ' -')
  end
end
return 1`)

/** On the schedule alone. how long to put each off in ms, how many: `{until when, organization...}` */
export const takeScheduled = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ = string.format('%.0f', now + ARGV[1])
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[2])
for _, organization in ipairs(found) do redis.call('ZADD', KEYS[1], until_, organization) end
return {until_, unpack(found)}`)

/** organization, until when it was put off */
export const unschedule = redisScript(`
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and tonumber(at) == tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1`)
