package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The long forms: many kills, many instances, an outage of minutes, thousands of late commits. */
@Tag("proof")
class LongFaultsTest {

    private static final String LATE = "late commits";

    private static void ends(Rig rig, Load load, Tally tally) throws Exception {
        load.close();
        rig.becomesEqual();
        List<String> lost = load.lost();
        List<String> wrong = new ArrayList<>(load.wrong());
        rig.letters().forEach(letter -> wrong.add("a letter: " + letter));
        Secrets.leaks(rig, rig.instances.get(0)).forEach(leak -> wrong.add("leaked: " + leak));
        if (rig.mini.pollsAtOnce() > 0) {
            wrong.add("mini: " + rig.mini.pollsAtOnce() + " polls at once");
        }
        tally.keep(load.count(), lost, wrong);
        assertThat(lost).isEmpty();
        assertThat(wrong).isEmpty();
        assertThat(load.count()).isGreaterThan(1000);
    }

    /** {@code -Dtwinsync.kills=} another number. */
    @Test
    void manyKillsAtRandomMomentsLoseNothing() throws Exception {
        int kills = Integer.getInteger("twinsync.kills", 30);
        try (Rig rig = new Rig("kills", Rig.seed())) {
            Instance instance = rig.start();
            Load load = new Load(rig, 25);
            Faults faults = new Faults(kills + " kills", rig, load);
            for (int kill = 0; kill < kills; kill++) {
                instance = faults.replaced(instance);
            }
            assertThat(faults.tally.hits("killed at work"))
                    .as("kills while something was owed")
                    .isGreaterThanOrEqualTo((kills + 1) / 2);
            ends(rig, load, faults.tally);
        }
    }

    @Test
    void oneToFourAndBackWithAKillARollingRestartMorePartitionsAndAReplay() throws Exception {
        try (Rig rig = new Rig("instances", Rig.seed())) {
            rig.start();
            Load load = new Load(rig, 25);
            Faults faults = new Faults("one to four and back", rig, load);
            for (int more = 0; more < 3; more++) {
                rig.begin();
            }
            rig.instances.forEach(Rig::ready);
            rig.shared(4);
            faults.tally.hit("scaled to four");
            faults.changes(400);

            long since = System.nanoTime();
            rig.kill(rig.instances.get(1));
            rig.shared(3);
            Duration taken = Duration.ofNanos(System.nanoTime() - since);
            faults.tally.hit("killed of four");
            faults.tally.tell("its partitions were taken over after " + taken.toMillis() + " ms");
            // what the broker waits for a sign of life, and a heartbeat until the others learn of it
            assertThat(taken).isLessThan(Rig.SESSION.plusSeconds(4));
            faults.frozen(rig.instances.get(0));

            faults.partitionsAdded();
            faults.changes(300);

            for (Instance old : List.copyOf(rig.instances)) {
                faults.succeeded(old);
            }
            faults.versionsWereMixed();
            for (Instance surplus : rig.instances.subList(1, rig.instances.size())) {
                rig.end(surplus);
            }
            rig.shared(1);
            faults.tally.hit("scaled back to one");
            faults.changes(200);
            ends(rig, load, faults.tally);
            faults.replayed();
        }
    }

    /** Everything that a network does, before each neighbour in turn; and at last silence for longer than any time-out. */
    @Test
    void whateverTheNetworkDoesBeforeAnyNeighbourLosesNothing() throws Exception {
        Duration silent = Duration.ofSeconds(Integer.getInteger("twinsync.silent", 70));
        try (Rig rig = new Rig("network", Rig.seed())) {
            rig.begin();
            rig.begin();
            rig.instances.forEach(Rig::ready);
            Load load = new Load(rig, 25);
            Faults faults = new Faults("every fault of the network", rig, load);
            Map<String, TcpProxy> neighbours =
                    new TreeMap<>(Map.of("database", rig.toDatabase, "broker", rig.toBroker, "mini", rig.toMini));
            for (Map.Entry<String, TcpProxy> neighbour : neighbours.entrySet()) {
                for (TcpProxy.Fault fault : TcpProxy.Fault.values()) {
                    if (fault != TcpProxy.Fault.NONE) {
                        faults.network(neighbour.getKey(), neighbour.getValue(), fault, Duration.ofSeconds(2));
                    }
                }
                faults.reset(neighbour.getKey(), neighbour.getValue());
                faults.halfClosed(neighbour.getKey(), neighbour.getValue());
            }
            for (Map.Entry<String, TcpProxy> neighbour : neighbours.entrySet()) {
                faults.silent(neighbour.getKey(), neighbour.getValue(), silent);
            }
            faults.databaseFrozen(Rig.SESSION.multipliedBy(2));
            faults.brokerFrozen(Rig.SESSION.multipliedBy(2));
            ends(rig, load, faults.tally);
        }
    }

    /** {@code -Dtwinsync.outage=} seconds, ten minutes by default. */
    @Test
    void aMiniProgramThatIsAwayForLongCostsLagAndNothingElse() throws Exception {
        Duration away = Duration.ofSeconds(Integer.getInteger("twinsync.outage", 600));
        try (Rig rig = new Rig("outage", Rig.seed())) {
            Instance instance = rig.start();
            Load load = new Load(rig, 50);
            Faults faults = new Faults("away for " + away.toSeconds() + " s", rig, load);
            faults.changes(100);
            faults.miniAnswers(503, away);
            faults.miniAnswers(401, Duration.ofSeconds(Math.min(60, away.toSeconds())));
            faults.network("mini", rig.toMini, TcpProxy.Fault.CUT, Duration.ofSeconds(20));
            faults.network("mini", rig.toMini, TcpProxy.Fault.BLACKHOLE, Duration.ofSeconds(20));
            ends(rig, load, faults.tally);
            assertThat(instance.get("/actuator/prometheus")).doesNotContainPattern("sync_breaker_open\\{.*} 1");
        }
    }

    /** {@code -Dtwinsync.late=} another number of row changes. */
    @Test
    @Anomaly(Anomaly.Of.A3)
    void fiftyThousandRowsThatAreCommittedLateAreAllSeen() throws Exception {
        int rows = Integer.getInteger("twinsync.late", 50_000);
        Tally.begins(LATE);
        int users = 2000;
        try (Rig rig = new Rig("late", Rig.seed())) {
            rig.app.update(
                    "insert into users (user_id, nickname) select 'late-' || n, '0' from generate_series(1, ?) n",
                    users);
            // nothing is read twice, by which one that came late might be met by chance
            rig.start("--twinsync.capture.app.overlap=0s");
            rig.becomesEqual();
            Random random = new Random(rig.seed);
            ExecutorService sessions = Executors.newFixedThreadPool(20);
            int made = 0;
            List<CompletableFuture<Void>> all = new ArrayList<>();
            while (made < rows) {
                int from = 1 + random.nextInt(users - 25);
                int number = made;
                int held = random.nextInt(1500);
                CompletableFuture<Void> done = new CompletableFuture<>();
                all.add(done);
                sessions.execute(() -> late(rig, from, number, held, done));
                made += 25;
            }
            CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get(30, TimeUnit.MINUTES);
            sessions.shutdown();
            rig.becomesEqual();
            Tally.line(
                    LATE,
                    "transactions of 25 rows, held up to 1.5 s, 20 at a time",
                    made,
                    0,
                    rig.letters().size());
            assertThat(rig.letters()).isEmpty();
        }
    }

    /** Rows are dated by their transaction's beginning, and committed when others with later times long are. */
    private static void late(Rig rig, int from, int number, int held, CompletableFuture<Void> done) {
        try (var connection = rig.postgres.connect()) {
            connection.setAutoCommit(false);
            try (var statement = connection.createStatement()) {
                statement.execute("select now()");
                statement.executeUpdate("update users set nickname = '" + number
                        + "', updated_at = now() where user_id in (select user_id from users where user_id in ("
                        + IntStream.range(from, from + 25)
                                .mapToObj(n -> "'late-" + n + "'")
                                .collect(Collectors.joining(","))
                        + ") order by user_id for update)");
                statement.execute("select pg_sleep(" + held / 1000.0 + ")");
            }
            connection.commit();
            done.complete(null);
        } catch (SQLException e) {
            done.completeExceptionally(e);
        }
    }
}
