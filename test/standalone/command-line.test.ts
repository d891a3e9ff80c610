import { describe, expect, it } from 'vitest'
import { describeProblem, DomainError } from '#core/errors.ts'
import { listenError } from '#core/process/probe-server.ts'
import { describeFailure, helpText, parseCommandLine } from '../../standalone/command-line.ts'

function problemsOf(...args: string[]): string[] {
  try {
    parseCommandLine(args)
    return []
  } catch (error) {
    return error instanceof DomainError ? error.problems.map(describeProblem) : [String(error)]
  }
}

const { ports } = parseCommandLine([])
const taken = (port: number) =>
  listenError(Object.assign(new Error(), { code: 'EADDRINUSE' }), port, '127.0.0.1')

describe('the command line', () => {
  it('needs nothing', () => {
    expect(parseCommandLine([])).toEqual({
      manifests: 'examples',
      state: '.cloudsignal',
      host: '127.0.0.1',
      ports: { mqtts: 8883, wss: 18_885, http: 8080, issuer: 8087, probes: 9090 },
      demoIssuer: true,
      logLevel: 'warn',
      help: false,
    })
  })

  it('takes every option, with a space or an equals sign', () => {
    const args = '--manifests m --state=s --redis redis://r:1 --mqtts-port 1 --wss-port=0 --http-port 3'
    const more = '--issuer-port 4 --probe-port 5 --host :: --no-demo-issuer --log-level debug --help'
    expect(parseCommandLine(`${args} ${more}`.split(' '))).toEqual({
      manifests: 'm',
      state: 's',
      redisUrl: 'redis://r:1',
      host: '::',
      ports: { mqtts: 1, wss: 0, http: 3, issuer: 4, probes: 5 },
      demoIssuer: false,
      logLevel: 'debug',
      help: true,
    })
  })

  it('reports every problem at once', () => {
    expect(problemsOf('--mqts-port', '1', '--wss-port', 'x', '--log-level', 'loud', '--state')).toEqual([
      '--mqts-port: is no option; did you mean --mqtts-port? (--help lists all)',
      '1: remove it (--help lists all)',
      '--state: give a value: --state DIR',
      '--wss-port="x": give a port number between 0 and 65535',
      '--log-level="loud": give one of debug, info, warn, error',
    ])
  })

  it('never shows the address of a Redis, which may have a password in it', () => {
    expect(problemsOf('--redis', 'http://:hunter2@r')).toEqual([
      expect.stringMatching(/^--redis: give a URL that begins with redis:\/\/, rediss:\/\//),
    ])
  })

  it('lists every option in its help', () => {
    for (const option of ['--manifests', '--redis', '--wss-port', '--no-demo-issuer', '--help']) {
      expect(helpText()).toContain(option)
    }
  })
})

describe('a start that failed', () => {
  it('says of a taken port which it is, who to ask, and how to choose another', () => {
    const text = describeFailure(taken(18_885), ports)
    expect(text).toContain('port 18885 of 127.0.0.1 is taken by another program')
    expect(text).toContain("ss -ltnp 'sport = :18885'")
    expect(text).toContain('npm start -- --wss-port 19885')
  })

  it('says of the issuer’s port how to go without it', () => {
    expect(describeFailure(taken(8087), ports)).toContain('--no-demo-issuer')
    expect(describeFailure(taken(8080), ports)).not.toContain('--no-demo-issuer')
  })

  it('says of anything else what it is, in one line', () => {
    expect(describeFailure(new Error('no space left'), ports)).toBe('no space left')
  })
})
