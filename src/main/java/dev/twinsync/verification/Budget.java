package dev.twinsync.verification;

import java.util.concurrent.locks.LockSupport;

/** A rate that is never exceeded: what is taken is spaced evenly, without a burst after a pause. */
final class Budget {

    private final long spacing;
    private long next = System.nanoTime();
    private long taken;

    Budget(double perSecond) {
        // a little wider than the rate, so that what arrives a little early does not exceed it
        this.spacing = (long) (1_020_000_000L / perSecond);
    }

    /** Waits for its turn. */
    void take() {
        long turn;
        synchronized (this) {
            turn = Math.max(System.nanoTime(), next);
            next = turn + spacing;
            taken++;
        }
        for (long left = turn - System.nanoTime(); left > 0; left = turn - System.nanoTime()) {
            LockSupport.parkNanos(left);
            if (Thread.currentThread().isInterrupted()) {
                throw new IllegalStateException("interrupted");
            }
        }
    }

    synchronized long taken() {
        return taken;
    }
}
