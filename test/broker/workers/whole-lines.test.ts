import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { forwardLines } from '../../../broker/workers/whole-lines.ts'

test('lines of several processes are written whole, whatever pieces they come in', async () => {
  const [one, two] = [new PassThrough(), new PassThrough()]
  const written: string[] = []
  for (const each of [one, two]) forwardLines(each, (bytes) => written.push(bytes.toString()))
  one.write('{"a"')
  two.write('{"b":1}\n{"c":')
  one.write(':1}')
  one.write('\n')
  two.end('2}\n{"d":3}')
  await new Promise((resolve) => two.once('end', resolve))
  expect(written.join('')).toBe('{"b":1}\n{"a":1}\n{"c":2}\n{"d":3}\n')
})
