package dev.twinsync.capture;

import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/** How far each system's clock is from ours, as measured at every contact; times are corrected by it. */
@Component("clocks")
public class Clocks {

    private static final Logger LOG = LoggerFactory.getLogger(Clocks.class);

    /** Beyond this a clock is suspect, and health says so. */
    public static final Duration SUSPECT = Duration.ofSeconds(5);

    private final Map<String, Duration> offsets = new ConcurrentHashMap<>();

    /**
     * A system said what time it is, at some moment between two of ours. Within the resolution, and within what a slow
     * answer leaves open, it counts as equal.
     */
    public void measured(String system, Instant said, Instant before, Instant after, Duration resolution) {
        Duration half = Duration.between(before, after).dividedBy(2);
        Duration offset = Duration.between(before.plus(half), said);
        if (offset.abs().compareTo(resolution.plus(half)) <= 0) {
            offset = Duration.ZERO;
        }
        Duration former = offsets.put(system, offset);
        boolean suspect = offset.abs().compareTo(SUSPECT) > 0;
        if (suspect && (former == null || former.abs().compareTo(SUSPECT) <= 0)) {
            LOG.warn("The clock of {} is {} s from ours: set both by NTP", system, offset.toSeconds());
        }
    }

    /** A time stated by a system, as our clock would have shown it. */
    public Instant corrected(String system, Instant stated) {
        return stated == null ? null : stated.minus(offsets.getOrDefault(system, Duration.ZERO));
    }

    public Map<String, Duration> offsets() {
        return Map.copyOf(offsets);
    }
}
