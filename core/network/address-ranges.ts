import { BlockList, isIP } from 'node:net'

/** Ranges of addresses in CIDR notation. An IPv4 address that stands in IPv6 (`::ffff:10.0.0.1`) is the one it stands for. */
export class AddressRanges {
  readonly #ranges = new BlockList()
  readonly isEmpty: boolean

  /** Undefined when one of them is no range, such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`. */
  static parse(ranges: readonly string[]): AddressRanges | undefined {
    const parsed = ranges.map(parseRange)
    return parsed.includes(undefined) ? undefined : new AddressRanges(parsed as readonly Range[])
  }

  private constructor(ranges: readonly Range[]) {
    this.isEmpty = ranges.length === 0
    for (const { network, bits, family } of ranges) this.#ranges.addSubnet(network, bits, family)
  }

  has(address: string): boolean {
    if (this.isEmpty) return false
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
    const [plain = ''] = (mapped ?? address).split('%')
    const version = isIP(plain)
    return version > 0 && this.#ranges.check(plain, version === 4 ? 'ipv4' : 'ipv6')
  }
}

interface Range {
  readonly network: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
}

function parseRange(text: string): Range | undefined {
  const [network = '', bitsText, ...rest] = text.split('/')
  const version = isIP(network)
  if (version === 0 || network.includes('%') || rest.length > 0) return undefined
  const most = version === 4 ? 32 : 128
  if (bitsText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(bitsText)) return undefined
  const bits = bitsText === undefined ? most : Number(bitsText)
  return bits > most ? undefined : { network, bits, family: version === 4 ? 'ipv4' : 'ipv6' }
}
