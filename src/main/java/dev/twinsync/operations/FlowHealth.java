package dev.twinsync.operations;

import dev.twinsync.capture.Capture;
import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.flow.KafkaReaders;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Masking;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.camel.CamelContext;
import org.apache.camel.Route;
import org.apache.camel.ServiceStatus;
import org.apache.camel.component.timer.TimerEndpoint;
import org.springframework.boot.actuate.health.CompositeHealthContributor;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthContributor;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.actuate.health.NamedContributor;
import org.springframework.stereotype.Component;

/**
 * Each flow by its name: whether it runs, and if not, since when and why. A flow that was suspended by an outage waits,
 * and goes on by itself; a poll that does not get through, or has no turn any more, is down; a batch that takes long is
 * a warning.
 */
@Component("flowsHealthContributor")
class FlowHealth implements CompositeHealthContributor {

    static final String WAITING = "WAITING";

    /** What a turn of a poll may take before it counts as hanging. */
    private static final Duration LONGEST_TURN = Duration.ofSeconds(60);

    private final CamelContext camel;
    private final Outages outages;
    private final KafkaReaders readers;
    private final Capture capture;
    private final CaptureSchemes schemes;
    private final Flows flows;

    FlowHealth(
            CamelContext camel,
            Outages outages,
            KafkaReaders readers,
            Capture capture,
            CaptureSchemes schemes,
            Flows flows) {
        this.camel = camel;
        this.outages = outages;
        this.readers = readers;
        this.capture = capture;
        this.schemes = schemes;
        this.flows = flows;
    }

    @Override
    public Iterator<NamedContributor<HealthContributor>> iterator() {
        List<NamedContributor<HealthContributor>> flows = new ArrayList<>();
        for (Route route : camel.getRoutes()) {
            HealthIndicator indicator = () -> of(route);
            flows.add(NamedContributor.of(route.getRouteId(), indicator));
        }
        if (flows.isEmpty()) {
            HealthIndicator none = () -> Health.down()
                    .withDetail("cause", "no flow was loaded: ROUTES_DIR names the folder that holds them")
                    .build();
            flows.add(NamedContributor.of("none", none));
        }
        return flows.iterator();
    }

    @Override
    public HealthContributor getContributor(String name) {
        for (NamedContributor<HealthContributor> flow : this) {
            if (flow.getName().equals(name)) {
                return flow.getContributor();
            }
        }
        return null;
    }

    private Health of(Route route) {
        String id = route.getRouteId();
        Flows.Stop stop = flows.still().get(id);
        if (stop != null) {
            // somebody meant it: to be looked at, and no reason for an alarm at night
            return Health.status(NeighbourHealth.WARNING)
                    .withDetail("since", stop.at().toString())
                    .withDetail("cause", stop.state() + " by " + stop.who() + ": " + Masking.inText(stop.reason()))
                    .build();
        }
        for (Map.Entry<String, Outages.Outage> outage : outages.outages().entrySet()) {
            if (id.startsWith(outage.getKey())) {
                return Health.status(WAITING)
                        .withDetail("since", outage.getValue().since().toString())
                        .withDetail("cause", outage.getValue().cause())
                        .build();
            }
        }
        ServiceStatus status = camel.getRouteController().getRouteStatus(id);
        if (status == null || !status.isStarted()) {
            boolean meant = Boolean.FALSE.equals(route.isAutoStartup()) || !schemes.meant(id);
            return (meant ? Health.up() : Health.down())
                    .withDetail("cause", meant ? "it is not meant to run" : "it is " + status)
                    .build();
        }
        String trouble = capture.troubles().get(id);
        if (trouble != null) {
            return Health.down().withDetail("cause", Masking.inText(trouble)).build();
        }
        String slow = readers.trouble(route);
        if (slow != null) {
            return Health.status(NeighbourHealth.WARNING)
                    .withDetail("cause", slow)
                    .build();
        }
        // the turns of polls and sweeps are counted; other clocks look after themselves
        boolean looks = id.startsWith("poll-") || id.startsWith("sweep-");
        return looks && route.getEndpoint() instanceof TimerEndpoint timer
                ? turn(route, timer)
                : Health.up().build();
    }

    private Health turn(Route poll, TimerEndpoint timer) {
        Instant last = capture.turns().get(poll.getRouteId());
        Instant since = last == null ? Instant.now().minusMillis(poll.getUptimeMillis()) : last;
        Duration longest = Duration.ofMillis(timer.getPeriod() * 3 + Math.max(0, timer.getDelay()))
                .plus(LONGEST_TURN);
        boolean hangs = since.plus(longest).isBefore(Instant.now());
        Health.Builder health = hangs ? Health.down() : Health.up();
        if (hangs) {
            health.withDetail(
                    "cause",
                    "no turn has ended for "
                            + Duration.between(since, Instant.now()).toSeconds() + " s");
        }
        if (last != null) {
            health.withDetail("last_turn", last.toString());
        }
        return health.build();
    }
}
