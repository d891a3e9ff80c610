import { neverHere, ofTheClient, type Chapter } from '../statement.ts'

/** MQTT 3.1.1 (OASIS, 29 October 2014), chapter 7: conformance. */
export const chapter7: Chapter = {
  '7.0.0-1': neverHere(
    'a server that connects to servers is a client too',
    'brokers meet in Redis, not by MQTT',
  ),
  '7.0.0-2': neverHere('no extension is needed', 'what is needed is what the tests use: MQTT alone'),
  '7.1.1-1': 'the transport is ordered and lossless',
  '7.1.2-1': ofTheClient('its transport is ordered and lossless'),
}
