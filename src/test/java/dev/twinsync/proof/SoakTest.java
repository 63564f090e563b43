package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Mixed load with a fault now and then, for long: nothing grows that is not meant to, and lag comes back to normal. */
@Tag("proof")
class SoakTest {

    /** What is meant to grow: history has its days, pushed records and letters stay. */
    private static final List<String> GROWS = List.of("history");

    private static final Duration BETWEEN = Duration.ofSeconds(20);

    /** How many kinds of fault there are. */
    private static final int KINDS = 8;

    /** {@code -Dtwinsync.soak=} minutes. */
    @Test
    void nothingGrowsButWhatIsMeantTo() throws Exception {
        Duration length = Duration.ofMinutes(Integer.getInteger("twinsync.soak", 30));
        try (Rig rig = new Rig("soak", Rig.seed())) {
            Instance instance = rig.start();
            rig.start();
            Load load = new Load(rig, 60);
            Faults faults = new Faults("soak of " + length.toMinutes() + " minutes", rig, load);
            Random random = new Random(rig.seed);
            List<Map<String, Double>> samples = new ArrayList<>();
            long until = System.nanoTime() + length.toNanos();
            Duration longest = Duration.ZERO;
            while (System.nanoTime() < until) {
                Faults.passes(BETWEEN);
                // each once, and then whichever comes
                fault(samples.size() < KINDS ? samples.size() : random.nextInt(KINDS), rig, faults);
                long over = System.nanoTime();
                await("the oldest change that is owed is a young one again")
                        .atMost(Rig.LONGEST)
                        .pollInterval(Duration.ofMillis(200))
                        .ignoreExceptions()
                        .until(() -> {
                            faults.brokerIsMended();
                            // nor has anything come to rest before it is merged
                            return oldest(rig) < 3 && rig.lag() < 500;
                        });
                Duration back = Duration.ofNanos(System.nanoTime() - over);
                longest = back.compareTo(longest) > 0 ? back : longest;
                samples.add(sample(rig, instance));
            }
            load.close();
            rig.becomesEqual();
            List<String> wrong = new ArrayList<>(load.wrong());
            wrong.addAll(grown(samples));
            wrong.addAll(history(rig, load.count()));
            Secrets.leaks(rig, instance).forEach(leak -> wrong.add("leaked: " + leak));
            rig.letters().forEach(letter -> wrong.add("a letter: " + letter));
            faults.tally.hit("lag back to normal after at most " + longest.toSeconds() + " s");
            faults.tally.keep(load.count(), load.lost(), wrong);
            System.out.println("soak, first and last: " + samples.get(0) + ' ' + samples.get(samples.size() - 1));
            assertThat(load.lost()).isEmpty();
            assertThat(wrong).isEmpty();
        }
    }

    /** Of the two instances the second is the one that dies; the first is measured. */
    private static void fault(int which, Rig rig, Faults faults) throws Exception {
        switch (which) {
            case 0 -> faults.replaced(rig.instances.get(1));
            case 1 -> faults.databaseRestarted();
            case 2 -> faults.brokerRestarted();
            case 3 -> faults.miniAnswers(503, Duration.ofSeconds(8));
            case 4 -> faults.reset("database", rig.toDatabase);
            case 5 -> faults.network("mini", rig.toMini, TcpProxy.Fault.NO_ANSWERS, Duration.ofSeconds(5));
            case 6 -> faults.network("broker", rig.toBroker, TcpProxy.Fault.LATENCY, Duration.ofSeconds(5));
            default -> faults.frozen(rig.instances.get(1));
        }
    }

    /** Age in seconds of the oldest change that could be delivered and is not. */
    private static double oldest(Rig rig) {
        Double age = rig.app.queryForObject("""
                select coalesce(max(extract(epoch from clock_timestamp() - d.since)), 0) from sync.due d
                join sync.base b on b.entity = d.entity and b.id = d.id and b.system = d.system
                where b.waiting_for is null""", Double.class);
        return age == null ? 0 : age;
    }

    private static Map<String, Double> sample(Rig rig, Instance instance) throws IOException {
        Map<String, Double> sample = new TreeMap<>();
        sample.put("heap after GC, MiB", (double) instance.heapAfterCollection());
        Matcher threads = Pattern.compile("jvm_threads_live_threads(?:\\{[^}]*})? ([0-9.]+)")
                .matcher(instance.get("/actuator/prometheus"));
        assertThat(threads.find()).as("the metric of threads").isTrue();
        sample.put("threads", Double.valueOf(threads.group(1)));
        sample.put("connections", (double) rig.count("pg_stat_activity where application_name like 'twinsync%'"));
        assertThat(sample.values()).as("what is there of each").allMatch(there -> there > 0);
        rig.app.query("""
                select c.relname, sum(pg_total_relation_size(c.oid)) / 1024 / 1024 as mib from pg_class c
                join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'sync' and c.relkind = 'r' and pg_total_relation_size(c.oid) > 100000 group by 1""", row -> {
            sample.put("table " + row.getString(1) + ", MiB", row.getDouble(2));
        });
        return sample;
    }

    /** What is more than half again as large, and not just by a little, in the last third as in the second. */
    private static List<String> grown(List<Map<String, Double>> samples) {
        List<String> grown = new ArrayList<>();
        int third = samples.size() / 3;
        samples.get(samples.size() - 1).keySet().stream()
                .filter(name -> GROWS.stream().noneMatch(name::contains))
                .forEach(name -> {
                    double before = mean(samples.subList(third, 2 * third), name);
                    double after = mean(samples.subList(2 * third, samples.size()), name);
                    double slack = name.startsWith("table") ? 4 : 20;
                    if (after > 1.5 * before + slack) {
                        grown.add(name + " grew from " + before + " to " + after);
                    }
                });
        return grown;
    }

    /** What each change leaves in the history, which grows by its days: a row or two, of no more than a record's size. */
    private static List<String> history(Rig rig, int changes) {
        long rows = rig.count("sync.history");
        Long bytes = rig.app.queryForObject(
                "select sum(pg_total_relation_size(relid)) from pg_partition_tree('sync.history')", Long.class);
        String told = String.format("%d rows of history, %d bytes each, for %d changes", rows, bytes / rows, changes);
        System.out.println("soak: " + told);
        return rows > 2L * changes || bytes / rows > 2048 ? List.of(told) : List.of();
    }

    private static double mean(List<Map<String, Double>> samples, String name) {
        return samples.stream()
                .filter(sample -> sample.containsKey(name))
                .mapToDouble(sample -> sample.get(name))
                .average()
                .orElse(0);
    }
}
