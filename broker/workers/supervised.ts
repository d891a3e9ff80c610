import type { Answering } from '#core/process/probe-server.ts'
import type { Shutdown } from '#core/process/shutdown.ts'
import type { FromWorker, ToWorker } from './messages.ts'

/** A worker's end: it answers what the supervisor is asked, and ends when that says so, or is gone. */
export function answerSupervisor(answer: Answering, shutdown: Shutdown): undefined {
  process.on('message', (message: ToWorker) => {
    if ('end' in message) return shutdown.begin('the supervisor')
    void answer(message.ask).then((answered) => tell({ id: message.id, answer: answered }))
  })
  // A terminal sends it to all processes; the supervisor says when each has to end.
  process.on('SIGINT', () => {})
  process.once('disconnect', () => shutdown.begin('a supervisor that is gone'))
}

export function tellReady(): void {
  tell({ isReady: true })
}

function tell(message: FromWorker): void {
  // It may be gone by now.
  process.send?.(message, undefined, undefined, () => {})
}
