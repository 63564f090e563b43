package dev.twinsync.console;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.search.Search;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/** How fast things go on this instance: the counters of the data path, looked at every five seconds for ten minutes. */
@Component
class Pulse {

    private static final int KEPT = 120;
    private static final int A_MINUTE = 12;

    /**
     * @param perMinute how many in the last minute
     * @param series how many in each five seconds, the oldest first
     */
    public record Rate(long perMinute, List<Long> series) {

        /** The series as the path of a line, 120 wide and 20 high, the newest at the right. */
        public String path() {
            if (series.isEmpty()) {
                return "M0 19H120";
            }
            long most = Math.max(1, series.stream().mapToLong(n -> n).max().orElse(1));
            StringBuilder path = new StringBuilder();
            int first = 120 - series.size();
            for (int i = 0; i < series.size(); i++) {
                double y = 19 - 18.0 * series.get(i) / most;
                path.append(i == 0 ? 'M' : 'L').append(first + i).append(' ').append(Math.round(y * 10) / 10.0);
            }
            return path.toString();
        }
    }

    private record Sample(Map<String, Double> counts) {}

    private final Schemas schemas;
    private final MeterRegistry meters;
    private final Deque<Sample> samples = new ArrayDeque<>();

    Pulse(Schemas schemas, MeterRegistry meters) {
        this.schemas = schemas;
        this.meters = meters;
    }

    @Scheduled(fixedRate = 5000)
    synchronized void sample() {
        samples.addLast(new Sample(now()));
        if (samples.size() > KEPT) {
            samples.removeFirst();
        }
    }

    private Map<String, Double> now() {
        Map<String, Double> counts = new HashMap<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                for (String what : List.of("observed", "merged", "delivered")) {
                    counts.put(key(what, schema.entity(), system), count("sync_" + what, schema.entity(), system));
                }
                Timer timer = timer(schema.entity(), system);
                counts.put(key("count", schema.entity(), system), timer == null ? 0 : (double) timer.count());
                counts.put(
                        key("total", schema.entity(), system),
                        timer == null ? 0 : timer.totalTime(java.util.concurrent.TimeUnit.MILLISECONDS));
            }
        }
        return counts;
    }

    /** @param what observed, merged or delivered */
    synchronized Rate rate(String what, String entity, String system) {
        String key = key(what, entity, system);
        List<Double> counts = new ArrayList<>();
        samples.forEach(sample -> counts.add(sample.counts().getOrDefault(key, 0.0)));
        counts.add(count("sync_" + what, entity, system));
        List<Long> series = new ArrayList<>();
        for (int i = 1; i < counts.size(); i++) {
            series.add(Math.round(counts.get(i) - counts.get(i - 1)));
        }
        double first = counts.get(Math.max(0, counts.size() - 1 - A_MINUTE));
        return new Rate(Math.round(counts.get(counts.size() - 1) - first), series);
    }

    /** What a change took on average in the last minute, from commit to acknowledgement; null where there was none. */
    synchronized Duration typical(String entity, String system) {
        Map<String, Double> now = now();
        Map<String, Double> then = samples.stream()
                .skip(Math.max(0, samples.size() - A_MINUTE))
                .findFirst()
                .map(Sample::counts)
                .orElse(Map.of());
        String count = key("count", entity, system);
        String total = key("total", entity, system);
        double changes = now.get(count) - then.getOrDefault(count, 0.0);
        return changes < 1
                ? null
                : Duration.ofMillis(Math.round((now.get(total) - then.getOrDefault(total, 0.0)) / changes));
    }

    /** A gauge of the service by its tag, or null where it is not measured. */
    Double gauge(String name, String tag, String value) {
        return Search.in(meters).name(name).tag(tag, value).gauges().stream()
                .map(gauge -> gauge.value())
                .filter(number -> !number.isNaN())
                .findFirst()
                .orElse(null);
    }

    private Timer timer(String entity, String system) {
        return Search.in(meters)
                .name("sync_end_to_end")
                .tag("entity", entity)
                .tag("system", system)
                .timer();
    }

    private double count(String name, String entity, String system) {
        return Search.in(meters).name(name).tag("entity", entity).tag("system", system).counters().stream()
                .mapToDouble(Counter::count)
                .sum();
    }

    private static String key(String what, String entity, String system) {
        return what + '/' + entity + '/' + system;
    }
}
