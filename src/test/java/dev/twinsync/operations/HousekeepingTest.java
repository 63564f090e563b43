package dev.twinsync.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.Neighbours;
import java.sql.Timestamp;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.flywaydb.core.Flyway;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/** Twinsync's own tables stay bounded, and nothing that is open goes. */
class HousekeepingTest {

    private static final Duration DAY = Duration.ofDays(1);

    private com.zaxxer.hikari.HikariDataSource source;
    private JdbcTemplate jdbc;
    private TransactionTemplate transaction;

    /** A schema of its own: the tests move the clock by months. */
    @BeforeEach
    void schema() {
        source = new com.zaxxer.hikari.HikariDataSource();
        source.setJdbcUrl(Neighbours.get().postgres.url());
        source.setUsername("postgres");
        source.setPassword("postgres");
        source.setSchema("housekeeping");
        source.setMaximumPoolSize(4);
        new JdbcTemplate(source).execute("drop schema if exists housekeeping cascade");
        Flyway.configure()
                .dataSource(source)
                .schemas("housekeeping")
                .defaultSchema("housekeeping")
                .load()
                .migrate();
        jdbc = new JdbcTemplate(source);
        transaction = new TransactionTemplate(new DataSourceTransactionManager(source));
    }

    @AfterEach
    void end() {
        jdbc.execute("drop schema housekeeping cascade");
        source.close();
    }

    private void keepHouse(Instant now) {
        new Housekeeping(
                        jdbc,
                        transaction,
                        Clock.fixed(now, ZoneOffset.UTC),
                        90,
                        Duration.ofDays(7),
                        Duration.ofDays(90))
                .run();
    }

    private void history(Instant at, String id) {
        jdbc.update(
                "insert into history (at, entity, id, kind) values (?, 'user', ?, 'merged')", Timestamp.from(at), id);
    }

    private String partitionOf(String id) {
        return jdbc.queryForObject("select tableoid::regclass::text from history where id = ?", String.class, id);
    }

    private List<String> days() {
        return jdbc.queryForList(
                "select inhrelid::regclass::text from pg_inherits where inhparent = 'history'::regclass order by 1",
                String.class);
    }

    private void letter(String id, String state, Instant closed) {
        jdbc.update("""
                insert into dead_letter (event_id, state, entity, record_id, system, route, failure_group, error, attempts,
                  first_failed_at, last_failed_at, headers)
                values (?, ?, 'user', ?, 'app', 'deliver-app-users', 'g', '{}', 1, '2020-01-01', '2020-01-01', '{}')""", id, state, id);
        if (closed != null) {
            jdbc.update("update dead_letter set closed_at = ? where event_id = ?", Timestamp.from(closed), id);
        }
    }

    private List<String> letters() {
        return jdbc.queryForList("select event_id from dead_letter order by event_id", String.class);
    }

    @Test
    void theFirstStartHasDaysAhead() {
        Instant now = Instant.now();
        history(now, "today");
        history(now.plus(7, ChronoUnit.DAYS), "in a week");
        assertThat(partitionOf("today")).matches("history_\\d{8}");
        assertThat(partitionOf("in a week")).matches("history_\\d{8}");
        assertThat(jdbc.queryForObject("select min(seq) from history", Long.class))
                .isEqualTo(1);
    }

    @Test
    void daysAreMadeAheadAndDroppedWhenTheirTimeIsOver() {
        Instant now = Instant.now();
        history(now, "old");
        Instant later = now.plus(Duration.ofDays(60));
        keepHouse(later);
        history(later.plus(7, ChronoUnit.DAYS), "new");
        assertThat(partitionOf("new")).matches("history_\\d{8}");
        assertThat(partitionOf("old")).matches("history_\\d{8}");
        keepHouse(now.plus(Duration.ofDays(90)));
        assertThat(jdbc.queryForList("select id from history where id = 'old'")).hasSize(1);
        keepHouse(now.plus(Duration.ofDays(91)));
        assertThat(jdbc.queryForList("select id from history where id = 'old'")).isEmpty();
        assertThat(jdbc.queryForList("select id from history where id = 'new'")).hasSize(1);
    }

    @Test
    void rowsOfNoDayAreKeptReadableAndExpireToo() {
        Instant now = Instant.now();
        // half a year on nobody has made days: the service stood still
        Instant later = now.plus(Duration.ofDays(180));
        for (int i = 0; i < 3; i++) {
            history(later, "gap-" + i);
        }
        jdbc.update(
                "insert into history (at, entity, id, kind) select ?, 'user', 'bulk', 'merged' from generate_series(1, 12000)",
                Timestamp.from(later));
        keepHouse(later);
        assertThat(partitionOf("gap-0")).isEqualTo("history_default");
        history(later.plus(DAY), "tomorrow");
        assertThat(partitionOf("tomorrow")).matches("history_\\d{8}");
        keepHouse(later.plus(Duration.ofDays(89)));
        assertThat(jdbc.queryForObject("select count(*) from history where id = 'bulk'", Long.class))
                .isEqualTo(12000);
        keepHouse(later.plus(Duration.ofDays(91)));
        assertThat(jdbc.queryForObject("select count(*) from history_default", Long.class))
                .isZero();
    }

    @Test
    void anOpenLetterNeverExpiresAndAClosedOneCountsFromItsClosing() {
        Instant now = Instant.now();
        letter("a-open", "open", null);
        letter("b-retrying", "retrying", null);
        letter("c-resolved-lately", "resolved", null);
        letter("d-resolved", "resolved", now.minus(Duration.ofDays(91)));
        letter("e-superseded", "superseded", now.minus(Duration.ofDays(91)));
        letter("f-discarded", "discarded", now.minus(Duration.ofDays(91)));
        letter("g-discarded-and-restored", "discarded", now.minus(Duration.ofDays(91)));
        jdbc.update("update dead_letter set state = 'open' where event_id like 'g-%'");
        keepHouse(now);
        assertThat(letters()).containsExactly("a-open", "b-retrying", "c-resolved-lately", "g-discarded-and-restored");
        keepHouse(now.plus(Duration.ofDays(91)));
        assertThat(letters()).containsExactly("a-open", "b-retrying", "g-discarded-and-restored");
    }

    @Test
    void keysOfPushesAndSettledConflictsGoInBatches() {
        Instant now = Instant.now();
        jdbc.update(
                "insert into push_key (system, key, body, event_id, at) select 'app', 'old-' || n, '', 'e', ? from generate_series(1, 11000) n",
                Timestamp.from(now.minus(Duration.ofDays(8))));
        jdbc.update(
                "insert into push_key (system, key, body, event_id, at) values ('app', 'new', '', 'e', ?)",
                Timestamp.from(now.minus(Duration.ofDays(6))));
        for (String state : List.of("open", "closed", "restored")) {
            jdbc.update(
                    "insert into conflict (entity, record_id, path, system, rule, field_version, at, state) values ('user', 'u', 'nickname', 'app', 'newest', 1, ?, ?)",
                    Timestamp.from(now.minus(Duration.ofDays(91))),
                    state);
        }
        keepHouse(now);
        assertThat(jdbc.queryForList("select key from push_key", String.class)).containsExactly("new");
        assertThat(jdbc.queryForList("select state from conflict", String.class))
                .containsExactly("open");
    }

    @Test
    void instancesThatDoItAtOnceDoNoHarm() throws Exception {
        Instant later = Instant.now().plus(Duration.ofDays(200));
        CountDownLatch go = new CountDownLatch(1);
        List<Thread> instances = List.of(1, 2, 3).stream()
                .map(n -> new Thread(() -> {
                    try {
                        go.await();
                        keepHouse(later);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }))
                .toList();
        instances.forEach(Thread::start);
        go.countDown();
        for (Thread instance : instances) {
            instance.join();
        }
        // whoever had no lock left it to the one that had
        keepHouse(later);
        assertThat(days()).hasSize(9).contains("history_default");
    }
}
