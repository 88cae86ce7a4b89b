// Preloaded into a process and its threads: whoever asks for the network ends the thread with this code.
import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'

const refuse = () => process.exit(97)
Object.assign(globalThis, { fetch: refuse })
net.Socket.prototype.connect = refuse
Object.assign(dns, { lookup: refuse })
Object.assign(dns.promises, { lookup: refuse })
dgram.createSocket = refuse
