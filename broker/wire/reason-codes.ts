/** Reason codes of MQTT 5 §2.4, as far as this broker sends them. */
export const reason = {
  success: 0x00,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  /** CONNACK only; DISCONNECT has `serverBusy`. */
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  useAnotherServer: 0x9c,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
} as const

export type ReasonCode = (typeof reason)[keyof typeof reason]

/** What a 3.1.1 client is told instead (MQTT 3.1.1 §3.2.2.3): it knows five refusals. */
export function connackReturnCode(code: ReasonCode): number {
  switch (code) {
    case reason.success:
      return 0
    case reason.unsupportedProtocolVersion:
      return 1
    case reason.clientIdentifierNotValid:
      return 2
    case reason.badUserNameOrPassword:
      return 4
    case reason.notAuthorized:
      return 5
    default:
      return 3
  }
}
