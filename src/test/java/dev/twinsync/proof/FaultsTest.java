package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.devservices.MiniProgram;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** One run through every kind of fault, and through all that came of it once more: what was acknowledged is at both ends, once, and nothing went back. */
class FaultsTest {

    @Test
    void whateverHappensNothingIsLostAndBothEndsAreEqual() throws Exception {
        try (Rig rig = new Rig("faults", Rig.seed())) {
            // both at once, before there is a schema or a topic, and of two versions
            Instance one = rig.begin();
            Instance two = rig.begin(LaterVersion.SETTING);
            rig.instances.forEach(Rig::ready);
            // less than the machine can carry: the other tests run beside it
            Load load = new Load(rig, 60);
            Faults faults = new Faults("every kind of fault", rig, load);
            faults.frozen(one);
            faults.reset("database", rig.toDatabase);
            faults.reset("broker", rig.toBroker);
            faults.reset("mini", rig.toMini);
            faults.halfClosed("mini", rig.toMini);
            faults.halfClosed("database", rig.toDatabase);
            faults.network("mini", rig.toMini, TcpProxy.Fault.LATENCY, Duration.ofMillis(800));
            faults.network("mini", rig.toMini, TcpProxy.Fault.NO_ANSWERS, Duration.ofSeconds(4));
            faults.network("mini", rig.toMini, TcpProxy.Fault.SLOW, Duration.ofMillis(800));
            faults.network("database", rig.toDatabase, TcpProxy.Fault.BLACKHOLE, Duration.ofSeconds(1));
            faults.network("broker", rig.toBroker, TcpProxy.Fault.CUT, Duration.ofSeconds(1));
            faults.databaseRestarted();
            faults.letterWhileTheBrokerIsGone("refused");
            faults.killed(two);
            faults.miniFails(
                    429,
                    503,
                    MiniProgram.Fault.HTML,
                    MiniProgram.Fault.CUT,
                    MiniProgram.Fault.RESET,
                    MiniProgram.Fault.APPLIED_THEN_RESET);
            faults.miniAnswers(503, Duration.ofSeconds(3));
            faults.miniAnswers(401, Duration.ofSeconds(2));
            faults.partitionsAdded();
            faults.changes(Math.max(50, 1000 - load.count()));
            // the letter is retried, and its order is as any other
            rig.mini.allow("order", "refused");
            String letter = one.json("/dead-letters?key=refused")
                    .path("items")
                    .path(0)
                    .path("id")
                    .asText();
            assertThat(one.post("/dead-letters/" + letter + "/retry", "{}")).isEqualTo(202);
            load.close();
            rig.becomesEqual();

            faults.tally.keep(load.count(), load.lost(), load.wrong());
            assertThat(load.lost()).isEmpty();
            assertThat(load.wrong()).isEmpty();
            assertThat(Secrets.leaks(rig, one)).isEmpty();
            assertThat(rig.letters()).hasSize(1);
            assertThat(rig.mini.pollsAtOnce()).as("two polls at once").isZero();
            assertThat(one.get("/actuator/prometheus")).doesNotContainPattern("sync_breaker_open\\{.*} 1");
            assertThat(load.count()).isGreaterThanOrEqualTo(1000);
            faults.versionsWereMixed();
            faults.replayed();
        }
    }
}
