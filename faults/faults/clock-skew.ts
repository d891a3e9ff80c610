import type { Fault } from '../fault.ts'

/** In Debian's package, for the architecture of this machine. */
const library = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
const preload = `/usr/lib/${library}/faketime/libfaketime.so.1`

const hourMs = 3_600_000

export const clockSkew: Fault = {
  name: 'clock-skew',
  summary: 'replicas whose clocks are an hour early and an hour late take over',
  mostGapMs: () => 2_000,
  needs: 'faketime',
  async run(stage, traffic) {
    for (const [index, former] of stage.replicas.slice().entries()) {
      const FAKETIME = index % 2 === 0 ? '+1h' : '-1h'
      const replica = await stage.add({ LD_PRELOAD: preload, FAKETIME, FAKETIME_DONT_FAKE_MONOTONIC: '1' })
      const { time } = await replica.program.logged('the broker is ready')
      if (Math.abs(Date.parse(String(time)) - Date.now()) < hourMs / 2) throw new Error('its clock is right')
      stage.remove(former)
      await former.program.terminate()
      await traffic.flows()
    }
    await traffic.flows(500)
  },
}
