package dev.twinsync.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.DecimalNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.TextNode;
import com.zaxxer.hikari.HikariDataSource;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Golden;
import dev.twinsync.merge.Golden.FieldState;
import dev.twinsync.merge.Ticks;
import dev.twinsync.merge.Writes;
import dev.twinsync.state.Records.BaseChange;
import dev.twinsync.state.Records.Change;
import dev.twinsync.state.Records.Snapshot;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

class JdbcRecordsTest {

    private static final Instant TIME = Instant.parse("2026-01-02T03:04:05.123456Z");

    private static EmbeddedPostgres postgres;
    private static HikariDataSource source;
    private static JdbcTemplate jdbc;
    private static JdbcRecords records;

    @BeforeAll
    static void start() throws Exception {
        postgres = EmbeddedPostgres.builder().start();
        String url = postgres.getJdbcUrl("postgres", "postgres");
        source = new Databases().syncDataSource(url, "postgres", "postgres", 4, url, "postgres");
        jdbc = new Databases().syncJdbc(source);
        records = new JdbcRecords(jdbc, new TransactionTemplate(new DataSourceTransactionManager(source)));
    }

    @AfterAll
    static void stop() throws Exception {
        source.close();
        postgres.close();
    }

    private static Golden golden(String id, long version, String nickname) {
        return new Golden(
                id,
                version,
                Map.of(
                        "nickname", new FieldState(TextNode.valueOf(nickname), version, "app", TIME),
                        "amount",
                                new FieldState(DecimalNode.valueOf(new BigDecimal("250.00")), 1, "mini", Instant.EPOCH),
                        "avatar", new FieldState(null, 1, "app", TIME)));
    }

    private static Change change(Golden golden, long read, BaseChange... bases) {
        return new Change(golden.id(), golden, read, List.of(bases), List.of(), List.of(), List.of("mini"));
    }

    private static BaseChange base(Base base, boolean due) {
        return new BaseChange(base, due, List.of(), null, 0, TIME);
    }

    @Test
    void givesBackWhatItWasGiven() {
        Map<String, JsonNode> values =
                Map.of("nickname", TextNode.valueOf("张三"), "amount", DecimalNode.valueOf(new BigDecimal("250.00")));
        Base full = new Base(
                "app",
                true,
                true,
                values,
                Set.of("phone"),
                "2026-01-02 03:04:05.123456+00",
                new Ticks(5, 6),
                true,
                7,
                Map.of("nickname", List.of(TextNode.valueOf("a"), NullNode.getInstance())),
                Map.of("nickname", TextNode.valueOf("b")),
                Map.of("avatar", new Base.Stated(NullNode.getInstance(), TIME)),
                "pos",
                3,
                0);
        Golden golden = golden("full", 1, "张三");

        assertThat(records.save("user", List.of(change(golden, 0, base(full, true)))))
                .isEmpty();

        Snapshot read = records.load("user", List.of("full", "none")).get("full");
        assertThat(read.golden()).isEqualTo(golden);
        assertThat(read.bases().get("app")).isEqualTo(full.at(1));
        assertThat(read.delivery().get("app").dueSince()).isNotNull();
        assertThat(read.delivery().get("mini").dueSince()).isNotNull();
        // what is owed there needs no base
        assertThat(read.bases()).containsOnlyKeys("app");
        assertThat(records.load("user", List.of("none")).get("none").golden().version())
                .isZero();
    }

    @Test
    void aFenceKeepsTheSlowerWriterOutAndLetsTheOthersThrough() {
        records.save("user", List.of(change(golden("one", 1, "a"), 0), change(golden("two", 1, "a"), 0)));
        records.save("user", List.of(change(golden("one", 2, "b"), 1)));

        List<String> lost =
                records.save("user", List.of(change(golden("one", 2, "zombie"), 1), change(golden("two", 2, "c"), 1)));

        assertThat(lost).containsExactly("one");
        Map<String, Snapshot> read = records.load("user", List.of("one", "two"));
        assertThat(read.get("one").golden().value("nickname").asText()).isEqualTo("b");
        assertThat(read.get("two").golden().value("nickname").asText()).isEqualTo("c");
    }

    @Test
    void aBaseIsReplacedOnlyFromTheOneThatWasRead() {
        Golden golden = golden("base", 1, "a");
        records.save("user", List.of(change(golden, 0, base(Base.unknown("app"), false))));
        Change again = new Change("base", null, 1, List.of(base(Base.unknown("app"), false)), List.of(), List.of());

        assertThat(records.save("user", List.of(again))).containsExactly("base");

        Base read = records.load("user", List.of("base")).get("base").bases().get("app");
        Change now = new Change("base", null, 1, List.of(base(read.doubted(9), true)), List.of(), List.of());
        assertThat(records.save("user", List.of(now))).isEmpty();
        assertThat(records.load("user", List.of("base"))
                        .get("base")
                        .bases()
                        .get("app")
                        .doubt())
                .isTrue();
    }

    @Test
    void aBaseThatStillHoldsWhatWasReadKeepsItAndOneWhoseRowIsGoneIsNotMadeOfNothing() {
        Map<String, JsonNode> values = Map.of("nickname", TextNode.valueOf("张三"));
        Base unknown = Base.unknown("app");
        Base holding = new Base(
                "app",
                true,
                true,
                values,
                Set.of(),
                "1",
                new Ticks(1, 2),
                false,
                -1,
                Map.of(),
                Map.of(),
                Map.of(),
                null,
                1,
                0);
        records.save("user", List.of(change(golden("keeps", 1, "张三"), 0, base(holding, false))));

        Base read = records.load("user", List.of("keeps")).get("keeps").bases().get("app");
        Change doubt = new Change("keeps", null, 1, List.of(base(read.doubted(9), true)), List.of(), List.of());
        assertThat(records.save("user", List.of(doubt))).isEmpty();
        Base doubted =
                records.load("user", List.of("keeps")).get("keeps").bases().get("app");
        assertThat(doubted.doubt()).isTrue();
        assertThat(doubted.held()).isEqualTo(values);

        jdbc.update("delete from base where id = 'keeps' and system = 'app'");
        Change late = new Change("keeps", null, 1, List.of(base(doubted, true)), List.of(), List.of());
        assertThat(records.save("user", List.of(late))).containsExactly("keeps");
        assertThat(records.load("user", List.of("keeps")).get("keeps").bases().getOrDefault("app", unknown))
                .isEqualTo(unknown);
    }

    @Test
    void whatWasJudgedByAnOlderVersionDoesNotSayThatNothingIsOwed() {
        records.save("user", List.of(change(golden("owed", 1, "a"), 0, base(Base.unknown("app"), false))));
        Base mini = Base.unknown("mini");
        records.save("user", List.of(change(golden("owed", 2, "b"), 1)));

        // a delivery of version 1 settles after version 2 was merged
        records.save("user", List.of(new Change("owed", null, 1, List.of(base(mini, false)), List.of(), List.of())));

        assertThat(dueAt("mini")).contains("owed");
    }

    private static List<String> dueAt(String system) {
        return records.due("user", system, Instant.now().plusSeconds(5), Records.DueKey.FIRST, 1000).stream()
                .map(Records.DueKey::id)
                .toList();
    }

    private static BaseChange waiting(String system, String... fields) {
        return new BaseChange(Base.unknown(system), true, List.of(fields), null, 0, null);
    }

    @Test
    void whatWaitsForAFieldThatIsNotThereIsPassedOver() {
        Golden golden = golden("waits", 1, "a");
        records.save("user", List.of(change(golden, 0, waiting("app", "phone"), waiting("mini", "nickname"))));

        assertThat(dueAt("app")).doesNotContain("waits");
        // it has its nickname, so what it waits for is a record on its way
        assertThat(dueAt("mini")).contains("waits");
        assertThat(records.waitingFor("mini", "nickname", List.of("a", "other")))
                .contains(new Records.Waiting("user", "waits"));
        assertThat(records.waitingFor("mini", "nickname", List.of("other")))
                .doesNotContain(new Records.Waiting("user", "waits"));
    }

    @Test
    void whatIsDueIsToldPageByPage() {
        for (String id : List.of("page-1", "page-2", "page-3")) {
            records.save("user", List.of(change(golden(id, 1, "a"), 0, base(Base.unknown("app"), true))));
        }
        List<String> paged = new java.util.ArrayList<>();
        Records.DueKey after = Records.DueKey.FIRST;
        for (List<Records.DueKey> page = null; page == null || !page.isEmpty(); ) {
            page = records.due("user", "app", Instant.now().plusSeconds(5), after, 2);
            page.forEach(key -> paged.add(key.id()));
            after = page.isEmpty() ? after : page.get(page.size() - 1);
        }
        assertThat(paged).containsSubsequence("page-1", "page-2", "page-3").doesNotHaveDuplicates();
    }

    @Test
    void aConflictIsOverWhenItsFieldHasMovedOn() {
        records.save("user", List.of(change(golden("over", 1, "a"), 0)));
        records.save(
                "user",
                List.of(new Change(
                        "over",
                        golden("over", 2, "b"),
                        1,
                        List.of(),
                        List.of(new Records.Conflict(
                                "nickname", "mini", TextNode.valueOf("x"), null, "app", "newest", 2)),
                        List.of())));
        String state = "select state from conflict where record_id = 'over'";
        assertThat(jdbc.queryForObject(state, String.class)).isEqualTo("open");

        records.save("user", List.of(change(golden("over", 3, "c"), 2)));

        assertThat(jdbc.queryForObject(state, String.class)).isEqualTo("closed");
    }

    @Test
    void conflictsAndHistoryAreKeptWithTheRecord() {
        Golden golden = golden("told", 1, "a");
        records.save(
                "user",
                List.of(new Change(
                        "told",
                        golden,
                        0,
                        List.of(),
                        List.of(new Records.Conflict(
                                "nickname", "mini", TextNode.valueOf("x"), null, "app", "newest", 1)),
                        List.of(new Records.Event(
                                "merged", "app", 1L, TextNode.valueOf("f"), "newest", null, "a note")))));

        assertThat(jdbc.queryForObject("select losing #>> '{}' from conflict where record_id = 'told'", String.class))
                .isEqualTo("x");
        assertThat(jdbc.queryForObject("select note from history where id = 'told'", String.class))
                .isEqualTo("a note");
    }

    @Test
    void theClockOfTicksOnlyGrows() {
        assertThat(records.tick()).isLessThan(records.tick());
    }

    private static Base written(String id, String position) {
        Base base = new Base(
                "mini",
                true,
                true,
                Map.of("nickname", TextNode.valueOf("张三")),
                Set.of(),
                position,
                new Ticks(5, 6),
                false,
                -1,
                Map.of(),
                Map.of("nickname", TextNode.valueOf("张三")),
                Map.of(),
                position,
                1,
                0);
        assertThat(records.save("user", List.of(change(golden(id, 1, "张三"), 0, base(base, false)))))
                .isEmpty();
        return base;
    }

    private static Map<String, Records.Held> alike(String id, String position, String nickname) {
        return records.alike(
                "user", "mini", Map.of(id, position), of -> Map.of("nickname", TextNode.valueOf(nickname)));
    }

    @Test
    void aBaseIsAlikeAtItsPositionWithItsValuesOnly() {
        written("alike", "p1");
        Base found = alike("alike", "p1", "张三").get("alike").base();
        assertThat(found.wrote()).isEqualTo("p1");
        assertThat(found.held()).isEqualTo(Map.of("nickname", TextNode.valueOf("张三")));
        assertThat(alike("alike", "p2", "张三")).isEmpty();
        assertThat(alike("alike", "p1", "李四")).isEmpty();
        assertThat(records.alike("user", "mini", Map.of("alike", "p1"), id -> null))
                .isEmpty();
        assertThat(records.alike("user", "app", Map.of("alike", "p1"), id -> found.held()))
                .isEmpty();
    }

    @Test
    void aBaseIsSettledUnlessAnotherWriterWasFaster() {
        written("settled", "p1");
        Base read = alike("settled", "p1", "张三").get("settled").base();
        Base left = new Base(
                "mini",
                true,
                true,
                read.held(),
                Set.of(),
                "p1",
                new Ticks(8, 9),
                false,
                -1,
                Map.of(),
                Map.of(),
                Map.of(),
                null,
                1,
                read.revision());
        var settled = Map.of("settled", new Records.Settled(left, TIME, "d1"));
        assertThat(records.settle("user", "mini", settled)).containsExactly("settled");
        Records.Held now = alike("settled", "p1", "张三").get("settled");
        assertThat(now.digest()).isEqualTo("d1");
        assertThat(now.base().wrote()).isNull();
        assertThat(now.base().sent()).isEmpty();
        assertThat(now.base().ticks()).isEqualTo(new Ticks(8, 9));
        assertThat(now.base().revision()).isEqualTo(read.revision() + 1);
        assertThat(records.settle("user", "mini", settled)).isEmpty();
    }

    @Test
    void whatIsLoadedWasTrueAtOneMoment() throws Exception {
        records.save("user", List.of(change(golden("moment", 1, "a"), 0, base(Base.unknown("app"), false))));
        CompletableFuture<Map<String, Snapshot>> loaded;
        try (Connection other = source.getConnection()) {
            other.setAutoCommit(false);
            try (Statement statement = other.createStatement()) {
                // golden records can be read then, and the bases not yet
                statement.execute("lock table base in access exclusive mode");
                loaded = CompletableFuture.supplyAsync(() -> records.load("user", List.of("moment")));
                await().until(() -> Boolean.TRUE.equals(jdbc.queryForObject(
                        "select exists (select from pg_locks where not granted and relation = 'base'::regclass)",
                        Boolean.class)));
                statement.execute("update golden set version = 2 where id = 'moment'");
                statement.execute("update base set revision = 2, key_version = 2, key_number = 1 where id = 'moment'");
            }
            other.commit();
        }
        Snapshot read = loaded.get().get("moment");
        assertThat(read.golden().version()).isEqualTo(1);
        assertThat(read.bases().get("app").revision()).isEqualTo(1);
    }

    /** Nothing but a vacuum or an analyze tells the planner, and neither comes while a first load runs. */
    @Test
    void rowsAreFoundByTheirKeysHoweverManyThereAreByNow() {
        for (String table : List.of("golden", "base", "due")) {
            jdbc.execute("alter table " + table + " set (autovacuum_enabled = off)");
        }
        // a plan reads a table whole where that is a single page, and up to the key; these come last
        jdbc.execute("truncate golden, base, due");
        List<String> few = List.of("some-1", "some-2", "some-3");
        crossed(few, 0);
        jdbc.execute("analyze golden, base, due");
        // so often that the plans are kept
        for (int version = 1; version < 15; version++) {
            crossed(few, version);
        }
        jdbc.update(
                "insert into golden (entity, id, version) select 'user', 'many-' || n, 1 from generate_series(1, 5000) n");
        jdbc.update("""
                insert into base (entity, id, system, known, present, position)
                select 'user', 'many-' || n, system, true, true, 'p' from generate_series(1, 5000) n, unnest('{app,mini}'::text[]) system""");
        jdbc.update(
                "insert into due (entity, id, system, version) select 'user', 'many-' || n, 'app', 1 from generate_series(1, 5000) n");
        long before = rowsRead();

        crossed(few, 15);
        crossed(few, 16);

        // a table that is read once, and be it for all three, has five thousand
        assertThat(rowsRead() - before).isBetween(20L, 1000L);
    }

    /** What a change makes of its records: merged, owed, intended, written, and seen again. */
    private void crossed(List<String> ids, int read) {
        Map<String, Snapshot> known = records.load("user", ids);
        assertThat(records.save(
                        "user",
                        ids.stream()
                                .map(id -> change(
                                        golden(id, read + 1, "n" + read),
                                        read,
                                        base(known.get(id).bases().getOrDefault("app", Base.unknown("app")), true)))
                                .toList()))
                .isEmpty();
        Map<String, Snapshot> due = records.load("user", ids, "mini");
        assertThat(records.save(
                        "user",
                        ids.stream()
                                .map(id -> {
                                    Base base = due.get(id).bases().getOrDefault("mini", Base.unknown("mini"));
                                    Base held =
                                            Writes.answered(base, Map.of(), "p" + read, new Ticks(read, read), read);
                                    return new Change(
                                            id, null, read + 1L, List.of(base(held, false)), List.of(), List.of());
                                })
                                .toList()))
                .isEmpty();
        Map<String, String> positions = ids.stream().collect(Collectors.toMap(id -> id, id -> "p" + read));
        Map<String, Records.Held> alike = records.alike("user", "mini", positions, id -> Map.of());
        assertThat(alike).containsOnlyKeys(ids);
        Map<String, Records.Settled> settled = alike.entrySet().stream()
                .collect(Collectors.toMap(
                        Map.Entry::getKey,
                        entry -> new Records.Settled(entry.getValue().base(), TIME, "d")));
        assertThat(records.settle("user", "mini", settled)).containsExactlyInAnyOrderElementsOf(ids);
    }

    /** By scans of the tables and through their indices, as the server counts. */
    private static long rowsRead() {
        // what a session has counted it tells when it likes, or is asked to
        jdbc.execute("select pg_stat_force_next_flush()");
        jdbc.execute("select pg_stat_clear_snapshot()");
        Long rows = jdbc.queryForObject("""
                select (select sum(seq_tup_read) from pg_stat_user_tables where relname in ('golden', 'base', 'due'))
                  + (select sum(idx_tup_read) from pg_stat_user_indexes where relname in ('golden', 'base', 'due'))""", Long.class);
        return rows == null ? 0 : rows;
    }

    @Test
    void aBaseThatHasGoneIsNotMadeAgain() {
        Base never = written("gone", "p1");
        jdbc.update("delete from base where id = 'gone'");
        assertThat(records.settle("user", "mini", Map.of("gone", new Records.Settled(never, TIME, "d1"))))
                .isEmpty();
        assertThat(jdbc.queryForObject("select count(*) from base where id = 'gone'", Long.class))
                .isZero();
    }
}
