package dev.twinsync.verification;

import dev.twinsync.verification.Diagnosis.Finding;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.env.PropertySource;

/** Every setting of Twinsync with the value in force, and what a person should know of it; secrets are not shown. */
final class SettingsInForce {

    private static final String OURS = "twinsync.";
    private static final Pattern SECRET = Pattern.compile(".*(password|key|keys\\..*|secret|users|webhooks)$");
    private static final Pattern IN_URL = Pattern.compile("(?<=://)[^/@]*@|(?<=[?&](password|user)=)[^&]*");

    /** Settings below these are maps, whose keys are free. */
    private static final List<String> MAPS = List.of("twinsync.verification.repair.", "twinsync.verification.damage.");

    /** What is worth a word where it is empty: what follows, and what to do. */
    private static final Map<String, String[]> EMPTY = Map.of(
            "twinsync.console.users",
            new String[] {"nobody can sign in to the console", "set CONSOLE_USERS: name:role:bcrypt,…"},
            "twinsync.mini.signing-secret",
            new String[] {"writes to the mini-program are not signed", "set MINI_SIGNING_SECRET: whsec_…"},
            "twinsync.alarms.webhooks",
            new String[] {"nobody is told of new dead letters", "set ALARM_WEBHOOKS: json=https://…"});

    private SettingsInForce() {}

    static List<Finding> of(ConfigurableEnvironment environment) {
        Set<String> known = new TreeSet<>();
        Map<String, String> given = new TreeMap<>();
        for (PropertySource<?> source : environment.getPropertySources()) {
            if (!(source instanceof EnumerablePropertySource<?> names)) {
                continue;
            }
            boolean shipped = source.getName().contains("application.yaml")
                    && source.getName().contains("class path");
            for (String name : names.getPropertyNames()) {
                if (shipped && name.startsWith(OURS)) {
                    known.add(name);
                } else if (!shipped && plain(name).startsWith("twinsync") && !name.equals("twinsync")) {
                    given.put(name, source.getName());
                }
            }
        }
        List<Finding> found = new ArrayList<>();
        Set<String> plain = new TreeSet<>();
        known.forEach(name -> plain.add(plain(name)));
        given.forEach((name, source) -> {
            boolean map = MAPS.stream().anyMatch(prefix -> plain(name).startsWith(plain(prefix)));
            if (!map && !plain.contains(plain(name)) && !name.equals("TWINSYNC_DEV")) {
                found.add(new Finding(
                        "setting " + name,
                        "warning",
                        "there is no such setting: nothing reads it",
                        "see application.yaml for the names, and mend or remove it in " + source));
            }
        });
        known.forEach(name -> found.add(finding(environment, name)));
        return found;
    }

    private static Finding finding(ConfigurableEnvironment environment, String name) {
        String check = "setting " + name;
        String value;
        try {
            value = environment.getProperty(name, "");
        } catch (IllegalArgumentException e) {
            return new Finding(check, "fault", e.getMessage(), "set the variable that it refers to");
        }
        if (value.isBlank()) {
            String[] why = EMPTY.get(name);
            return why == null
                    ? new Finding(check, "ok", "empty", null)
                    : new Finding(check, "warning", "empty: " + why[0], why[1]);
        }
        if (name.equals("twinsync.dev") && value.equals("true")) {
            return new Finding(
                    check,
                    "warning",
                    "true: keys that everyone knows are accepted",
                    "leave TWINSYNC_DEV out in production");
        }
        if (name.endsWith(".url")
                && value.startsWith("http://")
                && !value.matches("http://(127\\.0\\.0\\.1|localhost)[:/].*")) {
            return new Finding(check, "warning", shown(name, value) + ": not encrypted", "use https://");
        }
        return new Finding(check, "ok", shown(name, value), null);
    }

    private static String shown(String name, String value) {
        return SECRET.matcher(name).matches() ? "set" : IN_URL.matcher(value).replaceAll("…");
    }

    /** As relaxed binding compares names. */
    private static String plain(String name) {
        return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "");
    }
}
