package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.api.Problem;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.verification.Diagnosis;
import dev.twinsync.verification.Verifications;
import java.security.Principal;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** Whether both ends are equal, what is not, and what is done about it. */
@Controller
class VerificationPage {

    private static final int PAGE = 50;
    private static final int MOST_IDS = 1000;

    private final Verifications verifications;
    private final Diagnosis diagnosis;
    private final Schemas schemas;
    private final Show show;

    VerificationPage(Verifications verifications, Diagnosis diagnosis, Schemas schemas, Show show) {
        this.verifications = verifications;
        this.diagnosis = diagnosis;
        this.schemas = schemas;
        this.show = show;
    }

    @GetMapping("/console/verification")
    String runs(@RequestParam(required = false) Long after, Model page) {
        List<Map<String, Object>> runs = verifications.list(after == null ? Long.MAX_VALUE : after, PAGE, null);
        page.addAttribute("runs", runs.stream().map(VerificationPage::told).toList());
        page.addAttribute("state", verifications.state());
        page.addAttribute("schemas", schemas);
        page.addAttribute("next", Show.next(runs, PAGE, one -> one.get("run")));
        return "verification";
    }

    @GetMapping("/console/verification/{run:\\d+}")
    String run(
            @PathVariable long run,
            @RequestParam(defaultValue = "") String kind,
            @RequestParam(defaultValue = "") String state,
            @RequestParam(defaultValue = "0") long after,
            Model page) {
        Problem.oneOf("kind", kind.isEmpty() ? null : kind, Verifications.KINDS);
        Problem.oneOf("state", state.isEmpty() ? null : state, Verifications.STATES);
        Map<String, Object> told = told(verifications.get(run));
        List<Map<String, Object>> differences = verifications.differences(
                run, after, PAGE, kind.isEmpty() ? null : kind, state.isEmpty() ? null : state);
        page.addAttribute("run", told);
        page.addAttribute("differences", differences);
        page.addAttribute("systems", systems((String) told.get("entity")));
        page.addAttribute("kind", kind);
        page.addAttribute("state", state);
        page.addAttribute("next", Show.next(differences, PAGE, one -> one.get("id")));
        return "verification-run";
    }

    /** The part of the page that refreshes itself. */
    @GetMapping("/console/verification/{run:\\d+}/progress")
    String progress(@PathVariable long run, Model page) {
        page.addAttribute("run", told(verifications.get(run)));
        return "verification-run :: progress";
    }

    @GetMapping("/console/verification/diagnosis")
    String diagnosis(Model page) {
        Map<Boolean, List<Diagnosis.Finding>> found = diagnosis.diagnose().stream()
                .collect(Collectors.partitioningBy(finding -> finding.state().equals("ok")));
        page.addAttribute("wrong", found.get(false));
        page.addAttribute("well", found.get(true));
        return "verification-diagnosis";
    }

    /** @param ids one a line, or separated by commas; none for all records */
    @PostMapping("/console/verification")
    String begin(
            @RequestParam String entity,
            @RequestParam(defaultValue = "none") String repair,
            @RequestParam(defaultValue = "") String ids,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        Problem.oneOf(
                "entity", entity, schemas.all().stream().map(Schema::entity).toList());
        Problem.oneOf("repair", repair, List.of("none", "plan", "apply", "self_test"));
        if (!repair.equals("none") && reason.isBlank()) {
            told.addFlashAttribute("refused", show.text("reason.needed"));
            return "redirect:/console/verification";
        }
        Set<String> some = new LinkedHashSet<>();
        Arrays.stream(ids.split("[\\s,]+")).filter(id -> !id.isEmpty()).forEach(some::add);
        for (String id : some) {
            String why = schemas.of(entity).refuseId(id);
            if (why != null || some.size() > MOST_IDS) {
                told.addFlashAttribute("refused", show.text("verification.ids.refused", MOST_IDS));
                return "redirect:/console/verification";
            }
        }
        try {
            long run = verifications.begin(
                    entity, some.isEmpty() ? null : some, repair, person.getName(), reason.isBlank() ? null : reason);
            return "redirect:/console/verification/" + run;
        } catch (Verifications.Refused refused) {
            told.addFlashAttribute("refused", show.told(refused.getMessage()));
            return "redirect:/console/verification";
        }
    }

    @PostMapping("/console/verification/{run:\\d+}/{act:approve|pause|resume|cancel|undo}")
    String act(
            @PathVariable long run,
            @PathVariable String act,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        boolean plain = act.equals("pause") || act.equals("resume");
        String why = plain && reason.isBlank() ? null : show.needed(reason);
        long shown = run;
        try {
            switch (act) {
                case "approve" -> verifications.approve(run, person.getName(), why);
                case "pause" -> verifications.pause(run, person.getName(), why);
                case "resume" -> verifications.resume(run, person.getName(), why);
                case "cancel" -> verifications.cancel(run, person.getName(), why);
                default -> shown = verifications.undo(run, null, person.getName(), why);
            }
            told.addFlashAttribute("done", show.text("verification." + act + ".done"));
        } catch (Verifications.Refused refused) {
            told.addFlashAttribute("refused", show.text("verification.refused", show.told(refused.getMessage())));
        }
        return "redirect:/console/verification/" + shown;
    }

    private List<String> systems(String entity) {
        return schemas.has(entity) ? schemas.of(entity).systems() : List.of();
    }

    /** The run with its JSON read: {@code told} in the order in which it is shown, {@code found} by kind. */
    private static Map<String, Object> told(Map<String, Object> row) {
        Map<String, Object> run = new LinkedHashMap<>(row);
        JsonNode told = Json.read((String) row.get("told"));
        Map<String, String> facts = new LinkedHashMap<>();
        told.properties()
                .forEach(fact ->
                        facts.put(fact.getKey(), Show.safe(fact.getValue().asText())));
        run.put("told", facts);
        Map<String, Long> found = new LinkedHashMap<>();
        if (row.get("kinds") != null) {
            Json.read((String) row.get("kinds"))
                    .properties()
                    .forEach(kind -> found.put(kind.getKey(), kind.getValue().asLong()));
        }
        run.put("found", found);
        run.put("all", found.values().stream().mapToLong(Long::longValue).sum());
        run.put("open", row.get("ended_at") == null);
        return run;
    }
}
