/** What the log's engine makes by itself, and so must be public: its position. */
package dev.twinsync.capture.log;
