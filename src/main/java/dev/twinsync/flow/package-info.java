/** What all flows lean on: batches and their commits, what a failure means, and waiting for its end. */
package dev.twinsync.flow;
