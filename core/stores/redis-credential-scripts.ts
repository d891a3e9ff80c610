import { barrierLua, clockLua } from './redis-barrier-lua.ts'
import { bucketLua } from './redis-rate-limiter.ts'
import { redisScript } from './redis-script.ts'

/**
 * Credentials and the sets that list them, each script one step. Times are Redis' own, so that no pod's clock
 * lengthens a life; the key's expiry and the text agree to the ms. A set expires with the last of its members.
 */
const indexing = `${clockLua}
local function enlist(index, expires, name)
  redis.call('ZADD', index, ms(expires), name)
  redis.call('PEXPIREAT', index, ms(expires), 'NX')
  redis.call('PEXPIREAT', index, ms(expires), 'GT')
end`

/** Key: the barriers. Values: target, the time in ms or '' for now. The answer: the time that counts. */
export const raiseBarrier = redisScript(`${clockLua}${barrierLua}
local now = clock()
local at = ARGV[2] == '' and now or math.min(tonumber(ARGV[2]), now)
raise_barrier(KEYS[1], ARGV[1], at, now)
return redis.call('ZSCORE', KEYS[1], ARGV[1]) or ms(at)`)

/**
 * Keys: the credential, the barriers. The answer: its text, unless it is behind a barrier that its record names.
 */
export const readCredential = redisScript(`
local text = redis.call('GET', KEYS[1])
if not text or redis.call('EXISTS', KEYS[2]) == 0 then return text end
local issued, record = string.match(text, '^(%d+) %d+ (.*)$')
local isRead, fields = pcall(cjson.decode, record or '')
if not isRead or type(fields) ~= 'table' then return text end
local principal = tostring(fields.principal)
local targets = { 'organization', 'principal:' .. principal }
local actsFor = string.match(principal, '^agent:[^:]*:(.+)$')
if actsFor then targets[#targets + 1] = 'principal:' .. actsFor end
if fields.provider then
  targets[#targets + 1] = 'provider:' .. tostring(fields.provider)
  targets[#targets + 1] = 'terms:' .. tostring(fields.provider)
end
if fields.apiKey and fields.kind ~= 'exchange' then
  targets[#targets + 1] = 'api-key:' .. tostring(fields.apiKey)
end
for _, target in ipairs(targets) do
  local raised = redis.call('ZSCORE', KEYS[2], target)
  if raised and tonumber(issued) <= tonumber(raised) then return false end
end
return text`)

/**
 * Keys: the credential, its principal's set, its kind's set, the barriers, perhaps the bucket of the principal. Values:
 * seconds, record, name, how many others may live on (-1: all), how many a minute, where the tombstone of the organization
 * would stand, when the proof was issued or '', how many records it was judged by, of each where it lies, its name and its
 * version, and the barriers that the proof may be behind. The answer: the head of the text, then the names that have to
 * make room; or how long to wait, in microseconds; or why nothing is issued.
 */
export const createCredential = redisScript(`${indexing}${bucketLua}
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
if redis.call('EXISTS', ARGV[6]) == 1 then return 'no-organization' end
local judges = 8 + 3 * tonumber(ARGV[8])
for i = judges + 1, #ARGV do
  local raised = redis.call('ZSCORE', KEYS[4], ARGV[i])
  if raised and tonumber(ARGV[7]) <= tonumber(raised) then return 'behind-barrier' end
end
for i = 9, judges, 3 do
  local judge = redis.call('HGET', ARGV[i], ARGV[i + 1])
  if not judge or redis.sha1hex(judge) ~= ARGV[i + 2] then return 'judge-changed' end
end
if KEYS[5] then
  local now = micros()
  local full = full_at(KEYS[5], now)
  local wait = wait_for(full, ARGV[5], now, 1)
  if wait > 0 then return wait end
  take(KEYS[5], full, ARGV[5], now, 1)
end
local now = clock()
local expires = now + ARGV[1] * 1000
local head = ms(now) .. ' ' .. ms(expires)
redis.call('SET', KEYS[1], head .. ' ' .. ARGV[2], 'PXAT', ms(expires))
local answer = { head }
for i = 2, 3 do
  -- Not all at once where a great many have ended since: each creation takes its share.
  local ended = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', ms(now), 'LIMIT', 0, 100)
  if #ended > 0 then redis.call('ZREM', KEYS[i], unpack(ended)) end
end
local room = tonumber(ARGV[4])
if room >= 0 then
  local surplus = redis.call('ZCARD', KEYS[2]) - room
  if surplus > 0 then
    for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, surplus - 1)) do answer[#answer + 1] = name end
  end
end
for i = 2, 3 do enlist(KEYS[i], expires, ARGV[3]) end
return answer`)

/** Keys as above. Values: seconds, longest life in seconds, name, and perhaps a new record. The answer: the whole text. */
export const extendCredential = redisScript(`${indexing}
local text = redis.call('GET', KEYS[1])
if not text then return false end
local issued, expires, record = string.match(text, '^(%d+) (%d+) (.*)$')
if not issued then return text end
local wanted = math.min(clock() + ARGV[1] * 1000, issued + ARGV[2] * 1000)
expires = math.max(tonumber(expires), wanted)
text = issued .. ' ' .. ms(expires) .. ' ' .. (ARGV[4] or record)
redis.call('SET', KEYS[1], text, 'PXAT', ms(expires))
for i = 2, 3 do enlist(KEYS[i], expires, ARGV[3]) end
return text`)

/**
 * Keys: sets. Values: the expiry and the name after which to begin, and how many of each set. The answer: name and
 * expiry by turns, sorted within each set.
 */
export const listCredentials = redisScript(`${indexing}
local from = math.max(tonumber(ARGV[1]), clock() + 1)
local answer = {}
for _, index in ipairs(KEYS) do
  local missing, offset = tonumber(ARGV[3]), 0
  repeat
    local batch = redis.call('ZRANGEBYSCORE', index, ms(from), '+inf', 'WITHSCORES', 'LIMIT', offset, missing)
    offset = offset + missing
    for i = 1, #batch, 2 do
      local name, expires = batch[i], batch[i + 1]
      if missing > 0 and (tonumber(expires) > tonumber(ARGV[1]) or name > ARGV[2]) then
        answer[#answer + 1] = name
        answer[#answer + 1] = expires
        missing = missing - 1
      end
    end
  until missing == 0 or #batch == 0
end
return answer`)

/**
 * Keys: the credential, the hash of what is untold, and perhaps the sets that list it. Values: its name, its principal or
 * '', and how many seconds the hash lives. The answer: whether it was there, and perhaps when it went and of whom it was.
 */
export const removeCredential = redisScript(`${clockLua}
local removed = redis.call('DEL', KEYS[1])
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ms(clock()) .. ' ' .. ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return { removed, redis.call('HGET', KEYS[2], ARGV[1]) }`)
