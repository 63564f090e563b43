package dev.twinsync.verification;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.core.env.Environment;

/**
 * The settings under {@code twinsync.verification}, as application.yaml tells them.
 *
 * @param repair entity to kind to the most that a run may do about it: report, plan or apply
 * @param damage entity to kind to what mends damage: restate (the golden record is written again) or adopt (what was
 *     found is believed)
 */
record Settings(
        @DefaultValue("1s") Duration turnInterval,
        @DefaultValue("1m") Duration scheduleInterval,
        @DefaultValue("2000") int appPage,
        @DefaultValue("100") double appPagesPerSecond,
        @DefaultValue("500") int miniPage,
        @DefaultValue("50") double miniCallsPerSecond,
        @DefaultValue("4") int miniParallel,
        @DefaultValue("5s") Duration quietFloor,
        @DefaultValue("10m") Duration quietLongest,
        @DefaultValue("10m") Duration backlogLongest,
        @DefaultValue("10") int rounds,
        @DefaultValue("24h") Duration longest,
        @DefaultValue("24h") Duration every,
        @DefaultValue("none") String scheduled,
        @DefaultValue("7") double sweepDays,
        @DefaultValue("100") int capRecords,
        @DefaultValue("0.001") double capShare,
        @DefaultValue("30") int keepDays,
        Map<String, Map<String, String>> repair,
        Map<String, Map<String, String>> damage) {

    static final List<String> KINDS = List.of("missing", "surplus", "field", "deleted", "status_back");
    static final List<String> MODES = List.of("report", "plan", "apply");

    static Settings of(Environment environment) {
        Settings settings = Binder.get(environment).bindOrCreate("twinsync.verification", Settings.class);
        check("repair", settings.repair, MODES);
        check("damage", settings.damage, List.of("restate", "adopt"));
        if (!List.of("none", "plan", "apply").contains(settings.scheduled)) {
            throw new IllegalArgumentException("twinsync.verification.scheduled: write none, plan or apply");
        }
        if (settings.miniCallsPerSecond <= 0 || settings.appPagesPerSecond <= 0) {
            throw new IllegalArgumentException(
                    "twinsync.verification.mini-calls-per-second, app-pages-per-second: write a number above 0");
        }
        return settings;
    }

    private static void check(String name, Map<String, Map<String, String>> map, List<String> values) {
        if (map == null) {
            return;
        }
        map.forEach((entity, kinds) -> kinds.forEach((kind, value) -> {
            if (!KINDS.contains(kind) || !values.contains(value)) {
                throw new IllegalArgumentException("twinsync.verification." + name + '.' + entity + '.' + kind
                        + ": write one of " + KINDS + " with one of " + values);
            }
        }));
    }

    /** The most that may be done about a kind: report, plan or apply. */
    String most(String entity, String kind) {
        return repair == null ? "apply" : repair.getOrDefault(entity, Map.of()).getOrDefault(kind, "apply");
    }

    String onDamage(String entity, String kind) {
        return damage == null
                ? "restate"
                : damage.getOrDefault(entity, Map.of()).getOrDefault(kind, "restate");
    }
}
