/** Decides what is true: golden record, bases and one observation in, golden record, bases and conflicts out. */
package dev.twinsync.merge;
