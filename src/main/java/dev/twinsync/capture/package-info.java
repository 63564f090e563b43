/** Learns which records changed, reads them, and publishes what was read, but for echoes, before a cursor moves. */
package dev.twinsync.capture;
