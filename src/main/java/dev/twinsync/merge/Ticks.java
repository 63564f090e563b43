package dev.twinsync.merge;

/** The ticks taken before a look or a write began and after it ended: the only clock whose order is trusted. */
public record Ticks(long began, long ended) {

    public static final Ticks NEVER = new Ticks(-2, -1);
}
