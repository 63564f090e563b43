package dev.twinsync.operations;

import dev.twinsync.capture.Capture;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Masking;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.camel.CamelContext;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.actuate.health.CompositeHealthContributor;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/**
 * The health of what Twinsync leans on and of its own work. Nothing here asks a neighbour: it reads the last answers,
 * outages and troubles. A WARNING is to be looked at and stops nothing; bounds that make a number DOWN are settings.
 */
@Configuration
class NeighbourHealth {

    static final String WARNING = "WARNING";

    @Bean
    HealthIndicator appDatabaseHealthIndicator(Watches watches) {
        return () -> answered(watches.appDatabase.answer()).build();
    }

    @Bean
    HealthIndicator syncDatabaseHealthIndicator(Watches watches) {
        return () -> answered(watches.state.answer()).build();
    }

    @Bean
    HealthIndicator kafkaHealthIndicator(Watches watches) {
        return () -> {
            Watch.Answer<TopicLag.Seen> answer = watches.kafka.answer();
            Health.Builder health = answered(answer);
            if (answer.trouble() == null) {
                health.withDetail("brokers", answer.value().brokers());
            }
            return health.build();
        };
    }

    /** Each system as the flows meet it: deliveries that wait, polls that do not get through. */
    @Bean
    CompositeHealthContributor systemsHealthContributor(
            Schemas schemas, Outages outages, Capture capture, Watches watches) {
        Map<String, HealthIndicator> systems = new TreeMap<>();
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                systems.put(system, () -> system(system, outages, capture, watches));
            }
        }
        return CompositeHealthContributor.fromMap(systems);
    }

    private static Health system(String system, Outages outages, Capture capture, Watches watches) {
        Outages.Outage outage = outages.outages().get("deliver-" + system + '-');
        if (outage != null) {
            return Health.down()
                    .withDetail("since", outage.since().toString())
                    .withDetail("cause", outage.cause())
                    .build();
        }
        // a poll fails as well where what it read can't be put away: that is not the system's fault
        boolean ours = watches.kafka.answer().trouble() != null
                || watches.state.answer().trouble() != null;
        for (Map.Entry<String, String> trouble : capture.troubles().entrySet()) {
            if (!ours && trouble.getKey().matches("(poll|sweep)-" + system + "-.*")) {
                return Health.down()
                        .withDetail("cause", trouble.getKey() + ": " + Masking.inText(trouble.getValue()))
                        .build();
            }
        }
        return Health.up().build();
    }

    /** A mass deletion that is held back needs a person. */
    @Bean
    HealthIndicator keySweepHealthIndicator(Watches watches) {
        return () -> {
            Seen seen = watches.state.answer().value();
            if (seen == null) {
                return Health.unknown().build();
            }
            return (seen.brakes().isEmpty() ? Health.up() : Health.down())
                    .withDetails(seen.brakes())
                    .build();
        };
    }

    @Bean
    HealthIndicator clocksHealthIndicator(Clocks clocks) {
        return () -> {
            Health.Builder health = Health.up();
            clocks.offsets().forEach((system, offset) -> {
                if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                    health.status(WARNING)
                            .withDetail(
                                    system,
                                    offset.toMillis() / 1000.0 + " s from ours: set both by NTP, or the later of two"
                                            + " edits is told wrongly");
                } else {
                    health.withDetail(system, offset.toMillis() / 1000.0 + " s");
                }
            });
            return health.build();
        };
    }

    @Bean
    HealthIndicator deadLettersHealthIndicator(
            Watches watches, @Value("${twinsync.health.most-open-letters:-1}") long most) {
        return () -> {
            Seen seen = watches.state.answer().value();
            if (seen == null) {
                return Health.unknown().build();
            }
            long open = seen.letters().stream().mapToLong(Seen.Letters::open).sum();
            Duration oldest = seen.letters().stream()
                    .map(Seen.Letters::oldest)
                    .max(Duration::compareTo)
                    .orElse(Duration.ZERO);
            Health.Builder health = most >= 0 && open > most ? Health.down() : Health.up();
            health.withDetail("open", open);
            if (open > 0) {
                health.withDetail("oldest_age_seconds", oldest.toSeconds());
            }
            return health.build();
        };
    }

    @Bean
    HealthIndicator lagHealthIndicator(Watches watches, @Value("${twinsync.health.longest-lag:0s}") Duration longest) {
        return () -> {
            Seen seen = watches.state.answer().value();
            if (seen == null) {
                return Health.unknown().build();
            }
            Health.Builder health = Health.up();
            for (Seen.Backlog backlog : seen.backlog()) {
                Map<String, Object> told = new LinkedHashMap<>();
                told.put("lag_seconds", backlog.lag().toMillis() / 1000.0);
                told.put("due", backlog.due());
                told.put("waiting", backlog.waiting());
                health.withDetail(backlog.entity() + " at " + backlog.system(), told);
                if (!longest.isZero() && backlog.lag().compareTo(longest) > 0) {
                    health.down();
                }
            }
            return health.build();
        };
    }

    /** Part of readiness: no instance is sent calls before its flows run. */
    @Bean
    HealthIndicator startedHealthIndicator(CamelContext camel) {
        return () -> camel.getStatus().isStarted() && !camel.getRoutes().isEmpty()
                ? Health.up().build()
                : Health.down()
                        .withDetail("cause", "the flows do not run: " + camel.getStatus())
                        .build();
    }

    private static Health.Builder answered(Watch.Answer<?> answer) {
        return answer.trouble() == null
                ? Health.up()
                : Health.down().withDetail("since", answer.since().toString()).withDetail("cause", answer.trouble());
    }
}
