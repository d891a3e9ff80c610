import { barrierLua, clockLua } from './redis-barrier-lua.ts'
import { redisScript } from './redis-script.ts'

/**
 * What the operator does to records, each in one step. The last key is the fence of the slot: the highest term of a
 * leader that has written here. The first value is the term of whoever writes, or nothing where there are no terms: a
 * leader that was replaced while it hung must change nothing once it goes on. A fence ends a month after it was
 * raised, and is raised again by the next write.
 */
const fence = `
local term = ARGV[1]
if term ~= '' then
  local seen = tonumber(redis.call('GET', KEYS[#KEYS]) or '') or 0
  if seen > tonumber(term) and seen < 2147483647 then return redis.error_reply('SUPERSEDED ' .. seen) end
  if seen ~= tonumber(term) then redis.call('SET', KEYS[#KEYS], term, 'EX', 2592000) end
end`

const fenced = (lua: string): ReturnType<typeof redisScript> => redisScript(fence + lua)

/** The error that a fence answers with begins so; then follows the term that has written there. */
export const supersededError = 'SUPERSEDED '

/** KEYS: fence. */
export const raiseFence = fenced(`
return 0`)

// The outbox keeps the change in mind until it is in the control log, which lies in another slot: a writer
// that dies between the two finds it again when it repeats the write. A barrier is raised with the change itself, so
// that nobody finds the one without the other.

/** `attempt` says in `isChanged` whether it changed anything. */
const change = (attempt: string): ReturnType<typeof redisScript> =>
  fenced(`${clockLua}${barrierLua}
local isChanged = false${attempt}
if isChanged then redis.call('HSET', KEYS[2], ARGV[5], term) end
if isChanged and ARGV[4] ~= '' then
  local now = clock()
  raise_barrier(KEYS[3], ARGV[4], now, now)
  redis.call('HSET', KEYS[2], 'barrier/' .. ARGV[4], term)
end
local untold = {}
for i = 5, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then untold[#untold + 1] = ARGV[i] end
end
return untold`)

// KEYS: records, outbox, barriers where there may be one, fence. ARGV: term, name, record, target of the barrier that a
// change raises or nothing, entry of the record, entries of its barriers. The answer: those of the entries that are to be told.

const put = `
isChanged = redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3]
if isChanged then redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end`

export const putRecord = change(put)

export const removeRecord = change(`
isChanged = redis.call('HDEL', KEYS[1], ARGV[2]) == 1`)

// An organization's own record has a tombstone in its place, written and removed with it: where the barriers would be.

export const putOrganization = change(`${put}
if isChanged then redis.call('DEL', KEYS[3]) end`)

export const buryOrganization = change(`
local text = redis.call('HGET', KEYS[1], ARGV[2])
if text then
  isChanged = true
  local isRead, record = pcall(cjson.decode, text)
  local policy = isRead and type(record) == 'table' and record.retain == true and ' retain' or ' delete'
  local time = redis.call('TIME')
  redis.call('HDEL', KEYS[1], ARGV[2])
  redis.call('SET', KEYS[3], string.format('%.0f', time[1] * 1000000 + time[2]) .. policy)
end`)

/** KEYS: tombstone, what else belongs to the operator there, fence. ARGV: term, tombstone. Leaves nothing where nothing else is. */
export const forgetTombstone = fenced(`
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', unpack(KEYS, 2, #KEYS - 1)) == 0 then redis.call('DEL', KEYS[#KEYS]) end
return 1`)

/** KEYS: index, fence. ARGV: term, field, value that it has. */
export const dropField = fenced(`
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[2])`)

/** KEYS: outbox, fence. ARGV: term, entry. */
export const settleEntry = fenced(`
return redis.call('HDEL', KEYS[1], ARGV[2])`)

/** KEYS: set, fence. ARGV: term, member. */
export const addMember = fenced(`
return redis.call('SADD', KEYS[1], ARGV[2])`)

/** KEYS: set, fence. ARGV: term, member. */
export const removeMember = fenced(`
return redis.call('SREM', KEYS[1], ARGV[2])`)

/** KEYS: index, fence. ARGV: term, field that is to be or nothing, value, field that was or nothing. */
export const moveIndex = fenced(`
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end
if ARGV[4] ~= '' and ARGV[4] ~= ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[4]) end
return 0`)

/** KEYS: mark, fence. ARGV: term, value. Whoever marked first stays. */
export const markOnce = fenced(`
return redis.call('SET', KEYS[1], ARGV[2], 'NX')`)
