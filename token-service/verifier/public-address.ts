import { BlockList, isIP } from 'node:net'

/** Addresses of the IANA special-purpose registries (RFC 6890) and what translates into them. */
const forbidden = new BlockList()

const forbiddenIPv4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8',
  '169.254.0.0/16', // link-local, cloud metadata
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
] as const

const forbiddenIPv6 = [
  '2001::/23', // Teredo, ORCHID and other protocol assignments
  '2001:db8::/32',
  '2002::/16', // 6to4: an IPv4 address inside
  '3fff::/20', // documentation
] as const

const globalIPv6 = new BlockList()

for (const [list, subnets, family] of [
  [forbidden, forbiddenIPv4, 'ipv4'],
  [forbidden, forbiddenIPv6, 'ipv6'],
  // Nothing outside is global: loopback, ::ffff:0:0/96, 64:ff9b::/96 (NAT64), fc00::/7, fe80::/10, ff00::/8.
  [globalIPv6, ['2000::/3'], 'ipv6'],
] as const) {
  for (const subnet of subnets) {
    const [network = '', bits = ''] = subnet.split('/')
    list.addSubnet(network, Number(bits), family)
  }
}

/** Whether an IP address is on the public internet. False for everything that is no IP address. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !forbidden.check(address, 'ipv4')
    case 6:
      return globalIPv6.check(address, 'ipv6') && !forbidden.check(address, 'ipv6')
    default:
      return false
  }
}
