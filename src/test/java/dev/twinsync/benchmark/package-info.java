/** The figures: what the service does in a second, with a loop beside it that does nothing but carry the bytes. */
package dev.twinsync.benchmark;
