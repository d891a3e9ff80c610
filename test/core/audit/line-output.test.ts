import { beforeEach, describe, expect, test } from 'vitest'
import { LineOutput } from '#core/audit/line-output.ts'
import { eventually } from '../../fixtures/eventually.ts'

let chunks: string[]
let room: number
let output: LineOutput

/** A pipe that has room for so many bytes. */
const pipe = (bytes: Buffer): number => {
  if (room === 0) throw Object.assign(new Error('again'), { code: 'EAGAIN' })
  const taken = Math.min(bytes.length, room)
  room -= taken
  chunks.push(bytes.toString('utf8', 0, taken))
  return taken
}

beforeEach(() => {
  chunks = []
  room = Infinity
  output = new LineOutput(pipe)
})

const line = (number: number): string => `${String(number).padStart(99, '.')}\n`
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
const all = (count: number): string => numbers(count).map(line).join('')

describe('lines on standard output', () => {
  test('of one moment are written together, and never at once', async () => {
    for (const number of numbers(3)) output.add(line(number))
    expect(chunks).toEqual([])
    await eventually('they are written', () => chunks.length > 0)
    expect(chunks).toEqual([all(3)])
  })

  test('are written in whole ones that a pipe takes undivided', async () => {
    for (const number of numbers(200)) output.add(line(number))
    await eventually('they are written', () => chunks.join('').length === 20_000)
    expect(chunks.join('')).toBe(all(200))
    expect(chunks.every((chunk) => chunk.length <= 4_096 && chunk.endsWith('\n'))).toBe(true)
  })

  test('wait for a reader that is slow, without holding up anybody, and none is lost or comes twice', async () => {
    room = 150
    for (const number of numbers(50)) output.add(line(number))
    await eventually('the pipe is full', () => room === 0)
    output.add(line(50))
    while (chunks.join('').length < 5_100) {
      room = 700
      await eventually('it is full again, or all is written', () => room === 0 || chunks.join('') === all(51))
    }
    expect(chunks.join('')).toBe(all(51))
    expect(output.lost).toBe(0)
  })

  test('are lost and counted beyond what may wait', async () => {
    room = 0
    for (const number of numbers(50_000)) output.add(line(number))
    expect(output.lost).toBeGreaterThan(5_000)
    room = Infinity
    await eventually('the others are written', () => chunks.join('').split('\n').length > 40_000)
    output.add('later\n')
    await eventually('later ones are written', () => chunks.at(-1) === 'later\n')
  })

  test('end without an error where there is no reader any more', async () => {
    const broken = new LineOutput(() => {
      throw Object.assign(new Error('gone'), { code: 'EPIPE' })
    })
    broken.add('one\n')
    output.add('two\n')
    await eventually('the other one is written', () => chunks.length === 1)
  })
})
