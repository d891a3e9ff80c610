/** Lua of scripts that ask the time. */
export const clockLua = `
local function ms(value) return string.format('%.0f', value) end
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`

const kept = 31 * 86_400_000

/**
 * Lua of scripts that raise barriers, after `clockLua`. They never go back. What is older than any credential or token
 * may be is forgotten.
 */
export const barrierLua = `
local function raise_barrier(barriers, target, at, now)
  redis.call('ZREMRANGEBYSCORE', barriers, '-inf', ms(now - ${kept}))
  redis.call('ZADD', barriers, 'GT', ms(at), target)
  redis.call('PEXPIREAT', barriers, ms(now + ${kept}))
end`
