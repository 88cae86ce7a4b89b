import { describe, expect, test } from 'vitest'
import { isNeverAWorker } from '../../src/platform/address-rules.ts'

describe('no worker is at', () => {
  test.each([
    ['the unspecified IPv4 address', '0.0.0.0'],
    ['an address of "this" network', '0.1.2.3'],
    ['a link-local IPv4 address', '169.254.169.254'],
    ['an IPv4 multicast address', '239.1.2.3'],
    ['the IPv4 broadcast address', '255.255.255.255'],
    ['the unspecified IPv6 address', '::'],
    ['a link-local IPv6 address', 'fe80::1'],
    ['a link-local IPv6 address with a zone', 'fe80::1%eth0'],
    ['an IPv6 multicast address', 'ff02::1'],
    ["EC2's metadata service for IPv6", 'fd00:ec2::254'],
    ['a mapped link-local address', '::ffff:169.254.169.254'],
    ['the same in hexadecimal', '::ffff:a9fe:a9fe'],
    ['an IPv4-translated link-local address', '::ffff:0:169.254.169.254'],
    ['an IPv4-compatible link-local address', '::169.254.169.254'],
    ['a link-local address behind NAT64', '64:ff9b::169.254.169.254'],
    ['the same in hexadecimal, written out', '0064:ff9b:0:0:0:0:a9fe:a9fe'],
    ['a link-local address behind local NAT64', '64:ff9b:1::a9fe:a9fe'],
    ['a link-local address behind 6to4', '2002:a9fe:a9fe::1'],
    ['a multicast address behind 6to4', '2002:e000:1::'],
    ['the unspecified address behind NAT64', '64:ff9b::'],
    ['a link-local address behind Teredo', '2001:0:1:2:3:4:5601:5601'],
  ])('%s', (_name, address) => expect(isNeverAWorker(address)).toBe(true))
})

describe('a worker may be at', () => {
  test.each([
    '127.0.0.1',
    '10.0.0.7',
    '169.253.1.1',
    '192.168.1.1',
    '::1',
    'fd00::1',
    'fd00:ec2::255',
    '::ffff:10.0.0.7',
    '64:ff9b::10.0.0.7',
    '64:ff9c::169.254.169.254',
    '2002:a00:7::1',
    '2001:db8::a9fe:a9fe',
  ])('%s', (address) => expect(isNeverAWorker(address)).toBe(false))

  test('a name, which is not an address', () => expect(isNeverAWorker('worker.local')).toBe(false))
})
