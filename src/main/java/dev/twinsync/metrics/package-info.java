/** What the data path counts and times while it works; a leaf that every room may use. */
package dev.twinsync.metrics;
