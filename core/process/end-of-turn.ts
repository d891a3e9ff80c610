let waiting: (() => void)[] = []

/**
 * Calls `act`, which does not throw, at the end of this turn of the event loop: once everything that had come by its
 * beginning is handled. What is asked for there belongs to the same turn, so that a question that was gathered in it is
 * also written in it.
 */
export function atEndOfTurn(act: () => void): void {
  waiting.push(act)
  if (waiting.length === 1) setImmediate(endTurn)
}

function endTurn(): void {
  let index = 0
  try {
    for (; index < waiting.length; index += 1) waiting[index]?.()
  } finally {
    // What throws all the same holds up nobody else.
    waiting = waiting.slice(index + 1)
    if (waiting.length > 0) setImmediate(endTurn)
  }
}
