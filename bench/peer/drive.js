// The peer at work: npm's node-raspberrypi-usbboot serves one directory to every Pi that appears.
// Only its public API is used; it looks for the bootcode in its own blobs, where the bench has put ours.
'use strict';
const { UsbbootScanner } = require('node-raspberrypi-usbboot');

const scanner = new UsbbootScanner(process.argv[2]);
scanner.on('attach', (device) => console.log('attach', device.portId));
scanner.on('detach', (device) => console.log('detach', device.portId));
scanner.on('ready', () => console.log('waiting for Pis'));
scanner.on('error', (error) => console.log('error', error.message));
process.on('SIGTERM', () => process.exit(0));
scanner.start();
