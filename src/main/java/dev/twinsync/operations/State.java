package dev.twinsync.operations;

import dev.twinsync.capture.Capture;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.camel.CamelContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * What Twinsync's own tables say of its work: what is due for how long, what letters are open, where polls stand, what
 * is held back. Asked for with a few set queries every few seconds, and shared by health and metrics. It is the same
 * on every instance.
 */
@Component
class State {

    /** Counting ends here, so that a backlog of any size costs the same; it means "at least so many". */
    static final int MOST_COUNTED = 20_000;

    /** What was refused and is unchanged since, or waits for a field, is due but is no lag: it has its own numbers. */
    private static final String BACKLOG = """
            select s.entity, s.system,
              extract(epoch from clock_timestamp() - oldest.since) as lag, oldest.id as oldest,
              counted.due, counted.waiting
            from unnest(?::text[], ?::text[]) as s (entity, system)
            left join lateral (
              select d.since, d.id from due d
              where d.entity || '/' || d.system = s.entity || '/' || s.system and not exists (
                select from base b where b.entity = d.entity and b.id = d.id and b.system = d.system
                  and (b.waiting_for is not null or b.refused =
                    (select g.version from golden g where g.entity = d.entity and g.id = d.id)))
              order by d.since limit 1) oldest on true
            cross join lateral (
              select (select count(*) from (
                       select from due d where d.entity || '/' || d.system = s.entity || '/' || s.system limit ?) d) as due,
                     (select count(*) from (
                       select from base where entity = s.entity and system = s.system and waiting_for is not null
                       limit ?) b) as waiting) counted""";

    private static final String LETTERS = """
            select entity, system, count(*) as open, extract(epoch from clock_timestamp() - min(first_failed_at)) as oldest,
              count(*) filter (where first_failed_at > now() - interval '1 hour') as hour,
              count(*) filter (where first_failed_at > now() - interval '1 day') as day,
              count(*) filter (where first_failed_at > now() - interval '7 days') as week
            from dead_letter where state in ('open', 'retrying') group by entity, system""";

    private static final String CURSORS = """
            select name, extract(epoch from clock_timestamp() - (value ->> 'at')::timestamptz) as age
            from cursor where name like 'poll-%' and value ->> 'at' is not null""";

    private final JdbcTemplate jdbc;
    private final Schemas schemas;
    private final Capture capture;
    private final CamelContext camel;

    State(JdbcTemplate jdbc, Schemas schemas, Capture capture, CamelContext camel) {
        this.jdbc = jdbc;
        this.schemas = schemas;
        this.capture = capture;
        this.camel = camel;
    }

    Seen look() {
        return new Seen(backlog(), letters(), cursors(), brakes());
    }

    private List<Seen.Backlog> backlog() {
        List<String> entities = new ArrayList<>();
        List<String> systems = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                entities.add(schema.entity());
                systems.add(system);
            }
        }
        return jdbc.query(
                connection -> {
                    var statement = connection.prepareStatement(BACKLOG);
                    statement.setArray(1, connection.createArrayOf("text", entities.toArray()));
                    statement.setArray(2, connection.createArrayOf("text", systems.toArray()));
                    statement.setInt(3, MOST_COUNTED);
                    statement.setInt(4, MOST_COUNTED);
                    return statement;
                },
                (row, n) -> new Seen.Backlog(
                        row.getString("entity"),
                        row.getString("system"),
                        seconds(row.getDouble("lag")),
                        row.getString("oldest"),
                        row.getLong("due"),
                        row.getLong("waiting")));
    }

    private List<Seen.Letters> letters() {
        return jdbc.query(
                LETTERS,
                (row, n) -> new Seen.Letters(
                        row.getString("entity"),
                        row.getString("system"),
                        row.getLong("open"),
                        seconds(row.getDouble("oldest")),
                        row.getLong("hour"),
                        row.getLong("day"),
                        row.getLong("week")));
    }

    private Map<String, Duration> cursors() {
        Map<String, Duration> ages = new LinkedHashMap<>();
        jdbc.query(CURSORS, row -> {
            ages.put(row.getString("name"), seconds(row.getDouble("age")));
        });
        return ages;
    }

    private Map<String, String> brakes() {
        Map<String, String> brakes = new LinkedHashMap<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                String sweep = "sweep-" + system + '-' + schema.plural();
                if (camel.getRoute(sweep) != null) {
                    capture.brake(system, schema.entity())
                            .ifPresent(told -> brakes.put(
                                    sweep,
                                    told + "; if they are meant, POST /sweeps/" + system + '/' + schema.plural()
                                            + "/release lets them through"));
                }
            }
        }
        return brakes;
    }

    private static Duration seconds(double seconds) {
        return Duration.ofMillis(Math.max(0, Math.round(seconds * 1000)));
    }
}
