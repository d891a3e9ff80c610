import { runProgram } from '#core/process/program.ts'
import { runOperator } from './operator.ts'
import { operatorSettings, shutdownMs } from './settings.ts'

await runProgram({
  name: 'operator',
  summary:
    'cloudsignal operator: makes the records in Redis follow the Organizations, MqttUsers and other resources of a cluster.',
  settings: operatorSettings,
  graceMs: shutdownMs,
  run: runOperator,
})
