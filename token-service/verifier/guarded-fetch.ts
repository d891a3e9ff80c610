import { lookup as systemLookup } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { ProviderAsker, ProviderQuestion } from '../live-checks/provider-asker.ts'
import type { DocumentFetcher, FetchLimits } from './document-fetcher.ts'
import { isPublicAddress } from './public-address.ts'

export interface GuardedFetchOptions {
  /**
   * Lets issuers lie in private networks, on any port, and speak plain http. The operator of the installation
   * decides; nothing that an organization writes can.
   */
  readonly allowPrivateIssuers: boolean
  /** All addresses of a name. */
  readonly lookup?: (hostname: string) => Promise<readonly ResolvedAddress[]>
}

export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

type Request = Pick<ProviderQuestion, 'headers' | 'body'>
type Send = (url: string, request: Request, limits: FetchLimits) => Promise<IncomingMessage>

/**
 * Reads a document whose address an organization chose, without being led inside: https on port 443, every
 * address of the name public, and the connection made to the address that was checked, not to what a second
 * question to DNS would give. A redirect is an answer like any other that is not 200: refused.
 */
export function guardedFetch(options: GuardedFetchOptions): DocumentFetcher {
  const send = guardedSend(options)
  return async (url, limits) => {
    const response = await send(url, { headers: {} }, limits)
    if (response.statusCode !== 200) {
      response.destroy()
      throw new Error(`the issuer answered with status ${response.statusCode}`)
    }
    const maxAge = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i.exec(
      response.headers['cache-control'] ?? '',
    )?.[1]
    return {
      text: await readBody(response, limits),
      ...(maxAge === undefined ? {} : { maxAgeSeconds: Number(maxAge) }),
    }
  }
}

/** As `guardedFetch`, for questions to the provider's own API: what is secret in them goes nowhere else either. */
export function guardedAsk(options: GuardedFetchOptions): ProviderAsker {
  const send = guardedSend(options)
  return async ({ url, ...request }, limits) => {
    const response = await send(url, request, limits)
    return { status: response.statusCode ?? 0, text: await readBody(response, limits) }
  }
}

function guardedSend(options: GuardedFetchOptions): Send {
  const resolve = options.lookup ?? ((hostname) => systemLookup(hostname, { all: true }))
  return async (text, request, limits) => {
    const url = new URL(text)
    checkUrl(url, options.allowPrivateIssuers)
    const signal = AbortSignal.timeout(limits.timeoutMs)
    const address = await unlessAborted(addressOf(url, resolve, options.allowPrivateIssuers), signal)
    return await send(url, request, address, signal)
  }
}

function checkUrl(url: URL, allowPrivate: boolean): void {
  if (url.username !== '' || url.password !== '') throw new Error('the address has a user')
  if (allowPrivate && (url.protocol === 'http:' || url.protocol === 'https:')) return
  if (url.protocol !== 'https:') throw new Error('the address does not begin with https://')
  // The URL parser leaves out the port that the scheme implies.
  if (url.port !== '') throw new Error('the address has another port than 443')
}

async function addressOf(
  url: URL,
  resolve: NonNullable<GuardedFetchOptions['lookup']>,
  allowPrivate: boolean,
): Promise<ResolvedAddress> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const family = isIP(host)
  // Node asks no `lookup` for a host that is an address already.
  const addresses = family === 0 ? await resolve(host) : [{ address: host, family }]
  const [first] = addresses
  if (first === undefined) throw new Error('the name of the issuer has no address')
  if (!allowPrivate && !addresses.every(({ address }) => isPublicAddress(address))) {
    throw new Error('the issuer lies in a private network')
  }
  return first
}

function send(
  url: URL,
  { headers, body }: Request,
  { address, family }: ResolvedAddress,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const content =
    text === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    request(url, {
      agent: false,
      signal,
      method: text === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': 'cloudsignal',
        ...content,
        ...headers,
      },
      // Pinned: Node calls it with `all` or without.
      lookup: (_hostname, options, callback) =>
        options.all === true ? callback(null, [{ address, family }]) : callback(null, address, family),
    })
      .once('response', resolve)
      .once('error', reject)
      .end(text)
  })
}

async function readBody(response: IncomingMessage, { maxBytes }: FetchLimits): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    // Leaving the loop destroys the response.
    if (length > maxBytes) throw new Error(`the issuer sent more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** DNS can not be told to stop; its answer is then ignored. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  return Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', abort))
}
