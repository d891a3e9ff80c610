import { readFile } from 'node:fs/promises'

/** Ticks of /proc/<pid>/stat per second: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** CPU-seconds, user and system, that a process has used with all its threads. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export function residentBytesOf(pid: number): Promise<number> {
  return statusBytes(pid, /^VmRSS:\s+(\d+) kB/m)
}

/** The most that it ever had. */
export function peakResidentBytesOf(pid: number): Promise<number> {
  return statusBytes(pid, /^VmHWM:\s+(\d+) kB/m)
}

async function statusBytes(pid: number, field: RegExp): Promise<number> {
  return Number(field.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

/** What processes use from now on: the answer holds, for each, its share of one core. */
export async function startUsage(
  pids: Readonly<Record<string, number>>,
): Promise<() => Promise<Record<string, number>>> {
  const before = await secondsOfAll(pids)
  const began = performance.now()
  return async () => {
    const after = await secondsOfAll(pids)
    const seconds = (performance.now() - began) / 1000
    return Object.fromEntries(
      after.map(([name, used], index) => [name, share((used - (before[index]?.[1] ?? 0)) / seconds)]),
    )
  }
}

export const share = (value: number): number => Math.round(value * 1000) / 1000

function secondsOfAll(pids: Readonly<Record<string, number>>): Promise<[string, number][]> {
  return Promise.all(
    Object.entries(pids).map(async ([name, pid]): Promise<[string, number]> => [
      name,
      await cpuSecondsOf(pid),
    ]),
  )
}
