package dev.twinsync.proof;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Secrets that are planted in a rig, with the phone numbers of its users; and the search for them where they must not be. */
final class Secrets {

    static final String DATABASE = "planted-password-of-the-database-91f2";
    static final String MINI_API = "planted-key-of-the-mini-program-api-77c3";
    static final String SIGNING = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC00NDAx";
    static final String APP = "planted-key-of-the-app-5b1e";
    static final String MINI = "planted-key-of-the-mini-program-c04d";
    static final String OPS = "planted-key-of-ops-2e8a";

    private static final Pattern PLANTED = Pattern.compile(String.join(
            "|",
            DATABASE,
            MINI_API,
            SIGNING.substring("whsec_".length()),
            "planted-signing",
            APP,
            MINI,
            OPS,
            // all phone numbers of a load, in the ways in which they are spelled
            "138[ -]?0013[ -]?800\\d"));

    private Secrets() {}

    /** Where something that was planted stands: logs, letters, conflicts, records, metrics, health and error answers. */
    static List<String> leaks(Rig rig, Instance instance) throws IOException {
        List<String> leaks = new ArrayList<>();
        int searched = 0;
        try (Stream<Path> logs = Files.list(rig.folder)) {
            for (Path log :
                    logs.filter(file -> file.toString().endsWith(".log")).toList()) {
                searched++;
                search(log.getFileName().toString(), Files.readString(log), leaks);
            }
        }
        List<String> paths = new ArrayList<>(List.of(
                "/actuator/prometheus",
                "/actuator/health",
                "/dead-letters?limit=200",
                "/dead-letters/groups?all=true",
                "/dead-letters/export?format=csv",
                "/conflicts?limit=200",
                "/diagnose"));
        for (JsonNode letter : instance.json("/dead-letters?limit=20").path("items")) {
            paths.add("/dead-letters/" + letter.path("id").asText());
        }
        for (String id : List.of("num-app-1", "num-app-2", "con-u-1", "con-u-2", "con-u-3", "con-u-4")) {
            paths.add("/users/" + id);
            paths.add("/users/" + id + "/timeline");
        }
        for (String path : paths) {
            searched++;
            search(path, instance.get(path), leaks);
        }
        for (String bad : List.of(
                "{\"user_id\":\"leak\",\"data\":{\"phone\":\"138001380001\"}}",
                "{\"user_id\":\"leak\",\"data\":{\"phone\":13800138000}}",
                "{\"user_id\":\"leak\",\"data\":{\"13800138000\":1}",
                "{\"user_id\":\"leak\",\"data\":\"13800138000\"}",
                "{\"user_id\":\"leak\",\"data\":{\"phone\":\"13800138000\"},\"updated_at\":\"13800138000\"}",
                "13800138000 13800138000")) {
            searched++;
            HttpResponse<String> answer = instance.pushed("user", bad);
            if (answer.statusCode() < 400) {
                leaks.add("accepted: " + bad);
            }
            search("the answer to " + bad.length() + " bytes", answer.body(), leaks);
        }
        Tally.line(
                "planted secrets and phones in " + rig.folder.getFileName(),
                "places searched",
                searched,
                0,
                leaks.size());
        return leaks;
    }

    private static void search(String where, String text, List<String> leaks) {
        Matcher found = PLANTED.matcher(text);
        while (found.find()) {
            int from = Math.max(0, found.start() - 80);
            leaks.add(where + ": …" + text.substring(from, Math.min(text.length(), found.end() + 20)));
        }
    }
}
