/** Verification: compares every system with the golden record, tells the differences, and mends them through the pipe. */
package dev.twinsync.verification;
