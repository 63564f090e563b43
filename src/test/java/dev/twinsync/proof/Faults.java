package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.MiniProgram;
import java.time.Duration;
import java.util.Random;
import java.util.Set;

/** What befalls a rig under load, one at a time. Each fault is counted, and only when it has met something. */
final class Faults {

    private final Rig rig;
    private final Load load;
    private final Random random;
    final Tally tally;

    /** @param run what the table calls it */
    Faults(String run, Rig rig, Load load) {
        this.rig = rig;
        this.load = load;
        this.random = new Random(rig.seed + 100);
        this.tally = new Tally(run, rig.folder.resolve("schedule.log"));
    }

    /** Lets the load go on for so many changes. */
    void changes(int more) {
        int until = load.count() + more;
        await("the load goes on").atMost(Rig.LONGEST).until(() -> load.count() >= until);
    }

    static void passes(Duration time) {
        long since = System.nanoTime();
        await().atMost(time.plus(Rig.LONGEST))
                .pollInterval(Duration.ofMillis(20))
                .until(() -> System.nanoTime() - since >= time.toNanos());
    }

    /** A moment under load that the seed chooses. */
    private void moment() {
        changes(5 + random.nextInt(30));
        passes(Duration.ofMillis(random.nextInt(400)));
    }

    /** SIGKILL at a random moment, once there are deliveries: before that there is nothing to lose. */
    void killed(Instance instance) throws Exception {
        int writes = rig.mini.writes().size();
        await("deliveries").atMost(Rig.LONGEST).until(() -> rig.mini.writes().size() > writes);
        moment();
        boolean atWork = rig.due() > 0;
        rig.kill(instance);
        assertThat(instance.isAlive()).isFalse();
        tally.hit(atWork ? "killed at work" : "killed");
    }

    /** The same, and another instance takes its place. */
    Instance replaced(Instance instance) throws Exception {
        killed(instance);
        return rig.start();
    }

    /** SIGSTOP in the midst of a turn until its group has taken its partitions away, and some more; then it goes on as if nothing had been. */
    void frozen(Instance instance) throws Exception {
        int instances = rig.instances.size();
        assertThat(instances).isGreaterThan(1);
        rig.shared(instances);
        do {
            instance.thaw();
            moment();
            // a poll whose answer does not come holds the lock of its turn
            rig.toMini.fault(TcpProxy.Fault.NO_ANSWERS);
            passes(Duration.ofMillis(500));
            instance.freeze();
            rig.toMini.fault(TcpProxy.Fault.NONE);
            // one that is alive gives a sign of it more often
            passes(Rig.SESSION.dividedBy(2));
        } while (rig.turns(Rig.SESSION.dividedBy(2).minusMillis(300)) == 0);
        long since = System.nanoTime();
        // its group goes on without it, and so do its turns
        rig.shared(instances - 1);
        await("another takes its turns")
                .atMost(Rig.SESSION)
                .until(() -> rig.turns(Rig.SESSION.dividedBy(2).minusMillis(300)) == 0);
        tally.tell("its groups went on after "
                + Duration.ofNanos(System.nanoTime() - since).toMillis() + " ms");
        changes(60);
        instance.thaw();
        rig.shared(instances);
        tally.hit("frozen in mid-turn past its session");
    }

    /** It stops while writes are under way, whose answers there is no place for then. */
    void databaseRestarted() throws Exception {
        moment();
        var began = rig.app.queryForObject("select pg_postmaster_start_time()::text", String.class);
        rig.mini.hold();
        await("writes under way").atMost(Rig.LONGEST).until(() -> rig.mini.underWay() > 0);
        rig.postgres.stopAtOnce();
        rig.mini.letGo();
        passes(Duration.ofMillis(500 + random.nextInt(2000)));
        rig.postgres.startAgain();
        assertThat(rig.app.queryForObject("select pg_postmaster_start_time()::text", String.class))
                .isNotEqualTo(began);
        assertThat(rig.app.queryForObject("show fsync", String.class)).isEqualTo("on");
        tally.hit("database stopped at once");
        changes(40);
    }

    void brokerRestarted() throws Exception {
        moment();
        rig.killBroker();
        passes(Duration.ofMillis(1000 + random.nextInt(3000)));
        rig.startBroker();
        tally.hit("broker killed");
        changes(20);
    }

    /** Does for a broker that serves some groups no more what its operators would do. */
    void brokerIsMended() throws Exception {
        if (rig.brokerIsLost()) {
            rig.killBroker();
            rig.startBroker();
            tally.hit("broker started once more, since it had lost its groups");
        }
    }

    /** A fault of the network before one of the neighbours. */
    void network(String name, TcpProxy proxy, TcpProxy.Fault fault, Duration time) {
        moment();
        int before = proxy.hit();
        proxy.fault(fault);
        passes(time);
        proxy.fault(TcpProxy.Fault.NONE);
        assertThat(proxy.hit()).as(fault + " before the " + name).isGreaterThan(before);
        tally.hit(name + ' ' + fault.name().toLowerCase(java.util.Locale.ROOT));
        changes(10);
    }

    void reset(String name, TcpProxy proxy) {
        moment();
        int before = proxy.hit();
        await("connections to the " + name).atMost(Rig.LONGEST).until(() -> {
            proxy.reset();
            return proxy.hit() > before;
        });
        tally.hit(name + " reset");
        changes(10);
    }

    void halfClosed(String name, TcpProxy proxy) {
        moment();
        int before = proxy.hit();
        await("connections to the " + name).atMost(Rig.LONGEST).until(() -> {
            proxy.halfClose();
            return proxy.hit() > before;
        });
        tally.hit(name + " half closed");
        changes(10);
    }

    /** Every call is answered so for a while: nothing but lag comes of it. */
    void miniAnswers(int status, Duration time) throws Exception {
        // those that were killed have lost their membership
        rig.shared(rig.instances.size());
        moment();
        Set<String> members = rig.members("deliver-mini-user");
        int failed = rig.mini.failed();
        int requests = rig.mini.requests();
        rig.mini.always(status);
        passes(time);
        // whoever still waits after an earlier fault calls later
        await("a call that meets it").atMost(Rig.LONGEST).until(() -> rig.mini.failed() > failed);
        rig.mini.always(null);
        assertThat(rig.mini.requests() - requests)
                .as("calls in %s of %d: no hot loop", time, status)
                .isLessThan(60 + (int) time.toSeconds() * 12);
        assertThat(rig.members("deliver-mini-user"))
                .as("nobody had to join anew")
                .isEqualTo(members);
        tally.hit("mini " + status + " for " + time.toSeconds() + " s");
        changes(10);
    }

    /** The next writes fail, each in its way. */
    void miniFails(Object... ways) {
        moment();
        int failed = rig.mini.failed();
        rig.mini.next(ways);
        await("all of them were met").atMost(Rig.LONGEST).until(() -> rig.mini.failed() >= failed + ways.length);
        for (Object way : ways) {
            tally.hit("mini "
                    + (way instanceof MiniProgram.Fault fault
                            ? fault.name().toLowerCase(java.util.Locale.ROOT).replace('_', ' ')
                            : way.toString()));
        }
    }

    /** A record is refused while the broker is gone: its letter is there once the broker is, once. */
    void letterWhileTheBrokerIsGone(String order) throws Exception {
        rig.mini.refuse("order", order, 422);
        rig.mini.hold();
        rig.app.update(
                "insert into orders (order_id, user_id, status, payment_amount) values (?, 'u', 'paid', 1)", order);
        await("its write is under way").atMost(Rig.LONGEST).until(() -> rig.mini.isUnderWay("order", order));
        rig.killBroker();
        rig.mini.letGo();
        passes(Duration.ofSeconds(3));
        assertThat(rig.letters()).isEmpty();
        rig.startBroker();
        tally.hit("broker gone while a letter was written");
        await("its letter").atMost(Rig.LONGEST).until(() -> rig.letters().size() == 1);
        assertThat(rig.letters().get(0)).contains(order, " open ", "422");
    }
}
