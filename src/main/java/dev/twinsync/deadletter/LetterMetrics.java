package dev.twinsync.deadletter;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.MultiGauge;
import io.micrometer.core.instrument.Tags;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * The letters as numbers: open by group and by age, the oldest, and retries that wait for a person. The largest groups
 * have a line of their own and the rest share one, so that the number of lines is bounded. Every instance tells the same.
 */
@Component
class LetterMetrics {

    private static final Map<String, String> AGES = new LinkedHashMap<>();

    static {
        AGES.put("5m", "5 minutes");
        AGES.put("1h", "1 hour");
        AGES.put("1d", "1 day");
        AGES.put("7d", "7 days");
        AGES.put("older", "100 years");
    }

    private final JdbcTemplate jdbc;
    private final int mostGroups;
    private final MultiGauge open;
    private final MultiGauge ages;
    private final MultiGauge oldest;
    private final MultiGauge alarming;
    private final MultiGauge retries;

    LetterMetrics(
            JdbcTemplate jdbc,
            MeterRegistry registry,
            @Value("${twinsync.dead-letters.metric-groups}") int mostGroups) {
        this.jdbc = jdbc;
        this.mostGroups = mostGroups;
        open = MultiGauge.builder("sync_dead_letters_by_group")
                .description("open letters by group; the smaller groups together are 'other'")
                .register(registry);
        ages = MultiGauge.builder("sync_dead_letters_by_age")
                .description("open letters by age: younger than the label and older than the one before")
                .register(registry);
        oldest = MultiGauge.builder("sync_dead_letters_unacknowledged_age_seconds")
                .description("age of the oldest open letter of a group that is new")
                .register(registry);
        alarming = MultiGauge.builder("sync_dead_letters_unacknowledged")
                .description("open letters of groups that are new")
                .register(registry);
        retries = MultiGauge.builder("sync_retries")
                .description("retries by state")
                .register(registry);
    }

    private record Line(String group, String entity, String system, String state, long count) {}

    @Scheduled(fixedDelayString = "${twinsync.dead-letters.metric-interval}")
    void measure() {
        List<Line> lines = jdbc.query(
                """
                select d.failure_group, d.entity, d.system, coalesce(g.state, 'new'), count(*)
                from dead_letter d left join letter_group g on g.id = d.failure_group
                where d.state in ('open', 'retrying') group by 1, 2, 3, 4 order by 5 desc, 1""",
                (row, n) -> new Line(
                        row.getString(1), row.getString(2), row.getString(3), row.getString(4), row.getLong(5)));
        List<MultiGauge.Row<?>> rows = new ArrayList<>();
        long other = 0;
        Map<List<String>, Long> unacknowledged = new LinkedHashMap<>();
        for (Line line : lines) {
            if (rows.size() < mostGroups) {
                Tags tags = Tags.of(
                        "group", line.group(), "entity", line.entity(), "system", line.system(), "state", line.state());
                rows.add(MultiGauge.Row.of(tags, line.count()));
            } else {
                other += line.count();
            }
            unacknowledged.merge(
                    List.of(line.entity(), line.system()), line.state().equals("new") ? line.count() : 0, Long::sum);
        }
        if (other > 0) {
            rows.add(MultiGauge.Row.of(Tags.of("group", "other", "entity", "-", "system", "-", "state", "-"), other));
        }
        open.register(rows, true);
        List<MultiGauge.Row<?>> alarms = new ArrayList<>();
        unacknowledged.forEach(
                (of, count) -> alarms.add(MultiGauge.Row.of(Tags.of("entity", of.get(0), "system", of.get(1)), count)));
        alarming.register(alarms, true);
        age();
        List<MultiGauge.Row<?>> operations =
                jdbc.query("""
                select s.state, count(o.id) from (values ('running'), ('paused')) s (state)
                left join retry_operation o on o.state = s.state group by 1""", (row, n) -> MultiGauge.Row.of(Tags.of("state", row.getString(1)), row.getLong(2)));
        retries.register(operations, true);
    }

    private void age() {
        StringBuilder sql = new StringBuilder("select ");
        String younger = null;
        for (String age : AGES.values()) {
            sql.append("count(*) filter (where d.first_failed_at > now() - interval '")
                    .append(age)
                    .append('\'');
            sql.append(younger == null ? "" : " and d.first_failed_at <= now() - interval '" + younger + '\'');
            sql.append("), ");
            younger = age;
        }
        sql.append("""
                coalesce(extract(epoch from now() - min(d.first_failed_at) filter (where coalesce(g.state, 'new') = 'new')), 0)
                from dead_letter d left join letter_group g on g.id = d.failure_group
                where d.state in ('open', 'retrying')""");
        jdbc.query(sql.toString(), row -> {
            List<MultiGauge.Row<?>> rows = new ArrayList<>();
            int column = 1;
            for (String age : AGES.keySet()) {
                rows.add(MultiGauge.Row.of(Tags.of("age", age), row.getLong(column++)));
            }
            ages.register(rows, true);
            oldest.register(List.of(MultiGauge.Row.of(Tags.empty(), row.getDouble(column))), true);
        });
    }
}
