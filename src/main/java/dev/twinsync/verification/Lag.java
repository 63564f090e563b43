package dev.twinsync.verification;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.distribution.CountAtBucket;
import io.micrometer.core.instrument.distribution.HistogramSnapshot;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/** Notes how long changes took from one end to the other, so that it can be told of the last hour and of all instances. */
@Component
class Lag {

    /** What is slower than the last bound is told as this, in milliseconds. */
    private static final long BEYOND = 3_600_000;

    private final MeterRegistry registry;
    private final JdbcTemplate jdbc;
    private final Map<Timer, Map<Long, Long>> former = new HashMap<>();

    Lag(MeterRegistry registry, JdbcTemplate jdbc) {
        this.registry = registry;
        this.jdbc = jdbc;
    }

    /** Stores what was delivered since the last call, by how long it took. */
    synchronized void note() {
        for (Timer timer : registry.find("sync_end_to_end").timers()) {
            HistogramSnapshot snapshot = timer.takeSnapshot();
            Map<Long, Long> now = new TreeMap<>();
            long below = 0;
            for (CountAtBucket bucket : snapshot.histogramCounts()) {
                long count = (long) bucket.count();
                if (Double.isFinite(bucket.bucket()) && bucket.bucket() < Long.MAX_VALUE) {
                    now.put((long) bucket.bucket(java.util.concurrent.TimeUnit.MILLISECONDS), count - below);
                    below = count;
                }
            }
            now.put(BEYOND, Math.max(0, snapshot.count() - below));
            Map<Long, Long> before = former.put(timer, now);
            Map<Long, Long> delta = new TreeMap<>();
            now.forEach(
                    (bound, count) -> delta.put(bound, count - (before == null ? 0 : before.getOrDefault(bound, 0L))));
            if (delta.values().stream().anyMatch(count -> count > 0)) {
                jdbc.update(
                        "insert into verification_lag (entity, bounds, counts) values (?, ?, ?)",
                        timer.getId().getTag("entity"),
                        delta.keySet().toArray(Long[]::new),
                        delta.values().toArray(Long[]::new));
            }
        }
        jdbc.update("delete from verification_lag where at < clock_timestamp() - interval '25 hours'");
    }
}
